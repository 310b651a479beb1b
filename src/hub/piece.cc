#include "hub/piece.h"

#include <algorithm>

#include "hub/transfer.h"

namespace flotilla {

Result<Status> fetch_piece(Link& link, Part& part, const FileRange& piece, const OnWritten& on_written,
                           const std::atomic<bool>& stop) {
  FLOTILLA_TRY(auto file, DiskFile::open_to_write(part.files()[piece.file_index]));
  std::uint64_t at = piece.offset;
  Status disk;
  const auto write = [&](std::span<const std::byte> bytes) -> Status {
    disk = file.write(at, bytes);
    FLOTILLA_TRY_STATUS(disk);
    at += bytes.size();
    on_written(bytes.size());
    return {};
  };
  const RangeRequest request{.model = part.gguf()->name(),
                             .fingerprint = part.gguf()->fingerprint(),
                             .file_index = piece.file_index,
                             .offset = piece.offset,
                             .bytes = piece.bytes};
  const auto received = request_range(link, request, write, stop);
  FLOTILLA_TRY_STATUS(disk);
  if (!received) return Status(fail(received.error()));
  FLOTILLA_TRY_STATUS(file.sync());
  FLOTILLA_TRY_STATUS(part.add(piece, received->digest));
  return Status();
}

Result<PartSink> PartSink::open(std::shared_ptr<Part> part, const FileRange& range, std::uint64_t piece_bytes,
                                OnWritten on_written) {
  FLOTILLA_TRY(auto file, DiskFile::open_to_write(part->files()[range.file_index]));
  return PartSink(std::move(part), std::move(file), range, piece_bytes, std::move(on_written));
}

Status PartSink::restart() {
  return fail(Code::internal, "[hub] expected to go on within '{}' but was to begin anew", part_->gguf()->name());
}

std::uint64_t PartSink::piece_end() const {
  return std::min(range_.offset + range_.bytes, (piece_begin_ / piece_bytes_ + 1) * piece_bytes_);
}

Status PartSink::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto now = bytes.first(std::min<std::uint64_t>(bytes.size(), piece_end() - at_));
    if (now.empty()) return fail(Code::corrupt, "[hub] expected no byte beyond the range that was asked for");
    FLOTILLA_TRY_STATUS(file_.write(at_, now));
    hash_.add(now);
    at_ += now.size();
    on_written_(now.size());
    if (at_ == piece_end()) FLOTILLA_TRY_STATUS(count_piece());
    bytes = bytes.subspan(now.size());
  }
  return {};
}

Status PartSink::count_piece() {
  FLOTILLA_TRY_STATUS(file_.sync());
  const FileRange piece{.file_index = range_.file_index, .offset = piece_begin_, .bytes = at_ - piece_begin_};
  FLOTILLA_TRY_STATUS(part_->add(piece, std::exchange(hash_, Sha256()).finish(), true));
  piece_begin_ = at_;
  return {};
}

}  // namespace flotilla
