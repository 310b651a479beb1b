// Bytes on their way into a part: by a bulk connection, piece by piece, or from a hub, as they come. A piece counts
// once it is on the disk and hashed. Thread: one for each; blocks.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/sha256.h"
#include "hub/disk.h"
#include "hub/hub_client.h"
#include "hub/part.h"
#include "io/link.h"

namespace flotilla {

using OnWritten = std::function<void(std::uint64_t bytes)>;

// One piece of a peer's, at most transfer_piece_bytes_max. The value says how the peer's part of it went, with errors
// as of request_range(); it fails where this machine's own disk does.
Result<Status> fetch_piece(Link& link, Part& part, const FileRange& piece, const OnWritten& on_written,
                           const std::atomic<bool>& stop);

// One range of a file, in order, counted in pieces (byte_ranges.h). What was begun and not counted is lost with this.
class PartSink final : public ByteSink {
 public:
  static Result<PartSink> open(std::shared_ptr<Part> part, const FileRange& range, std::uint64_t piece_bytes,
                               OnWritten on_written);
  std::uint64_t offset() const override { return at_; }
  Status restart() override;  // never: what does not begin where it was asked to is refused before
  Status add(std::span<const std::byte> bytes) override;

 private:
  PartSink(std::shared_ptr<Part> part, DiskFile file, const FileRange& range, std::uint64_t piece_bytes,
           OnWritten on_written)
      : part_(std::move(part)),
        file_(std::move(file)),
        range_(range),
        piece_bytes_(piece_bytes),
        on_written_(std::move(on_written)),
        at_(range.offset),
        piece_begin_(range.offset) {}
  std::uint64_t piece_end() const;
  Status count_piece();

  std::shared_ptr<Part> part_;
  DiskFile file_;
  FileRange range_;
  std::uint64_t piece_bytes_;
  OnWritten on_written_;
  std::uint64_t at_, piece_begin_;
  Sha256 hash_;
};

}  // namespace flotilla
