// The two sides of copying bytes of a model over a bulk connection (wire/control.h, "Files"): the asker sends a
// header_request or range_request and gets range_data frames, then one range_end with the digest of all of them.
// Thread: the one that owns the link.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/sha256.h"
#include "io/link.h"
#include "model/gguf.h"
#include "model/spec.h"
#include "wire/control.h"

namespace flotilla {

// One request's bytes at most: what a broken link can cost, and the unit of verification.
inline constexpr std::uint64_t transfer_piece_bytes_max = 64u << 20;

// --- Asking --------------------------------------------------------------------------------------

struct Received {
  RangeEnd end;
  Digest digest{};  // of the bytes that came; equal to end.sha256
};
using OnBytesFn = std::function<Status(std::span<const std::byte>)>;

// Sends one request and hands on what comes, at most `bytes_max`. corrupt where digest or length is not what the peer
// says (or a foreign frame comes), timeout after 30 s of silence, cancelled by `stop`; in these cases the link is
// closed, for what is still under way would be taken for the next answer. A peer's refusal comes back as its code and
// message.
Result<Received> request_header(Link& link, const HeaderRequest& request, std::uint64_t bytes_max,
                                const OnBytesFn& on_bytes, const std::atomic<bool>& stop);
Result<Received> request_range(Link& link, const RangeRequest& request, const OnBytesFn& on_bytes,
                               const std::atomic<bool>& stop);

// The digest of a range as the peer has it on its disk now; no bytes travel.
Result<Digest> request_digest(Link& link, RangeRequest request, const std::atomic<bool>& stop);

// The headers of all parts. corrupt where they are not those of `fingerprint` (empty: any).
Result<std::shared_ptr<const Gguf>> request_gguf(Link& link, const std::string& model, const std::string& fingerprint);

// --- Answering -----------------------------------------------------------------------------------

// What may be given away of a model: its header, and where its files lie.
struct Offer {
  std::shared_ptr<const Gguf> gguf;
  std::vector<std::filesystem::path> files;
};
struct Shelf {
  // not_found in words fit for a peer (no paths).
  std::function<Result<Offer>(const std::string& model, const std::string& fingerprint)> find;
  // Whether every byte of the range is here and verified.
  std::function<bool(const Offer& offer, const FileRange& range)> has;
};

// Takes a request that is none for a file; an error ends the connection.
using OnOtherFn = std::function<Status(Link& link, const Frame& frame)>;

// Answers requests until the link closes: success where the peer closed it, the cause otherwise.
Status answer_requests(Link& link, const Shelf& shelf, const OnOtherFn& on_other = {});

}  // namespace flotilla
