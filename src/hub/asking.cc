#include <algorithm>
#include <chrono>

#include "base/hex.h"
#include "base/limits.h"
#include "base/units.h"
#include "hub/transfer.h"
#include "model/gguf_files.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto stop_interval = 250ms;       // how soon a cancelled copy ends
constexpr int silence_intervals_max = 120;  // 30 s: a peer that reads a slow disk still sends a chunk now and then

std::unexpected<Error> broken(Link& link, Error error) {
  link.close(error);
  return std::unexpected(std::move(error));
}

Status receive_next(Link& link, Frame& frame, const std::atomic<bool>& stop) {
  for (int i = 0; i < silence_intervals_max; ++i) {
    if (stop) return fail(Code::cancelled, "[hub] the copy was cancelled");
    auto status = link.receive(frame, stop_interval);
    if (status || status.error().code != Code::timeout) return status;
  }
  return fail(Code::timeout,
              "[hub] expected bytes of the model from the peer but it was silent for 30 s; is it overloaded?");
}

Result<RangeEnd> check_end(const Frame& frame, std::uint64_t got_bytes, const Digest& digest) {
  FLOTILLA_TRY(auto end, decode_range_end(frame.body));
  if (!end.ok) return end;
  const auto said = from_hex(end.sha256);
  if (said && std::ranges::equal(*said, digest) && end.bytes == got_bytes) return end;
  return fail(Code::corrupt,
              "[hub] expected {} bytes with SHA-256 {} but got {} bytes with {}; the copy was damaged on the way "
              "or the peer's file is not what it says",
              end.bytes, end.sha256.substr(0, 64), got_bytes, to_hex(digest));
}

// What both requests share: everything after the question.
Result<Received> receive_bytes(Link& link, std::uint64_t bytes_max, const OnBytesFn& on_bytes,
                               const std::atomic<bool>& stop) {
  Sha256 hash;
  std::uint64_t got_bytes = 0;
  Frame frame;
  while (true) {
    if (auto status = receive_next(link, frame, stop); !status) return broken(link, status.error());
    if (frame.header.kind == FrameKind::range_end) break;
    if (frame.header.kind != FrameKind::range_data || frame.body.size() > bytes_max - got_bytes) {
      return broken(link, Error{Code::corrupt,
                                std::format("[hub] expected at most {} more bytes of the model but got {} bytes of {}",
                                            bytes_max - got_bytes, frame.body.size(), to_string(frame.header.kind))});
    }
    got_bytes += frame.body.size();
    hash.add(frame.body);
    if (auto status = on_bytes(frame.body); !status) return broken(link, status.error());
  }
  Received received{.end = {}, .digest = hash.finish()};
  auto end = check_end(frame, got_bytes, received.digest);
  if (!end) return broken(link, end.error());
  if (!end->ok) return fail(Error{code_from_string(end->code), std::move(end->message)});
  received.end = *std::move(end);
  return received;
}

}  // namespace

Result<Received> request_header(Link& link, const HeaderRequest& request, std::uint64_t bytes_max,
                                const OnBytesFn& on_bytes, const std::atomic<bool>& stop) {
  FLOTILLA_TRY_STATUS(link.send(make_frame(FrameKind::header_request, encode(request))));
  return receive_bytes(link, bytes_max, on_bytes, stop);
}

Result<Received> request_range(Link& link, const RangeRequest& request, const OnBytesFn& on_bytes,
                               const std::atomic<bool>& stop) {
  FLOTILLA_TRY_STATUS(link.send(make_frame(FrameKind::range_request, encode(request))));
  FLOTILLA_TRY(auto received, receive_bytes(link, request.bytes, on_bytes, stop));
  if (received.end.bytes == request.bytes) return received;
  return broken(link, Error{Code::corrupt, std::format("[hub] expected {} bytes at {} but the peer ended after {}",
                                                       request.bytes, request.offset, received.end.bytes)});
}

// A peer of an older release sends the bytes: then it is their digest, and has been checked.
Result<Digest> request_digest(Link& link, RangeRequest request, const std::atomic<bool>& stop) {
  request.only_digest = true;
  FLOTILLA_TRY_STATUS(link.send(make_frame(FrameKind::range_request, encode(request))));
  std::uint64_t got_bytes = 0;
  Frame frame;
  for (;; got_bytes += frame.body.size()) {
    if (auto status = receive_next(link, frame, stop); !status) return broken(link, status.error());
    if (frame.header.kind == FrameKind::range_end) break;
    if (frame.header.kind != FrameKind::range_data || frame.body.size() > request.bytes - got_bytes)
      return broken(link, Error{Code::corrupt, std::format("[hub] expected a digest but got {} bytes of {}",
                                                           frame.body.size(), to_string(frame.header.kind))});
  }
  auto end = decode_range_end(frame.body);
  if (!end) return broken(link, end.error());
  if (!end->ok) return fail(Error{code_from_string(end->code), std::move(end->message)});
  const auto said = from_hex(end->sha256);
  Digest digest{};
  if (!said || said->size() != digest.size() || end->bytes != request.bytes)
    return broken(link, Error{Code::corrupt, "[hub] expected the digest of a range but got none"});
  std::ranges::copy(*said, digest.begin());
  return digest;
}

Result<std::shared_ptr<const Gguf>> request_gguf(Link& link, const std::string& model, const std::string& fingerprint) {
  std::vector<GgufPart> parts;
  std::uint64_t bytes_left = limits::header_bytes_max;
  std::uint32_t file_count = 1;
  const std::atomic<bool> never{false};
  for (std::uint32_t index = 0; index < file_count; ++index) {
    GgufPart part;
    const auto keep = [&](std::span<const std::byte> bytes) -> Status {
      part.header.insert(part.header.end(), bytes.begin(), bytes.end());
      return {};
    };
    const HeaderRequest request{.model = model, .fingerprint = fingerprint, .file_index = index};
    FLOTILLA_TRY(const Received received, request_header(link, request, bytes_left, keep, never));
    if (received.end.file_count < 1 || received.end.file_count > split_parts_max ||
        (index > 0 && received.end.file_count != file_count)) {
      return fail(Code::corrupt, "[hub] expected 1 to {} parts of '{}' but the peer says {}", split_parts_max, model,
                  received.end.file_count);
    }
    file_count = received.end.file_count;
    part.file_bytes = received.end.file_bytes;
    bytes_left -= part.header.size();
    parts.push_back(std::move(part));
  }
  FLOTILLA_TRY(auto gguf, Gguf::parse(parts, model));
  if (fingerprint.empty() || gguf->fingerprint() == fingerprint) return gguf;
  return fail(Code::corrupt, "[hub] expected the header of model {} but the peer sent that of {}", fingerprint,
              gguf->fingerprint());
}

}  // namespace flotilla
