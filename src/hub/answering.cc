#include <algorithm>

#include "base/hex.h"
#include "base/limits.h"
#include "hub/disk.h"
#include "hub/transfer.h"

namespace flotilla {
namespace {

// Between two requests: an asker checks what it has of a large model on its disk. Beyond, the place is another's.
constexpr std::chrono::minutes request_patience{10};

RangeEnd refusal(const Error& error) {
  return {.ok = false, .sha256 = {}, .code = std::string(to_string(error.code)), .message = error.message};
}

Status send_end(Link& link, const RangeEnd& end) { return link.send(make_frame(FrameKind::range_end, encode(end))); }

RangeEnd success(const Offer& offer, std::uint32_t file_index, std::uint64_t bytes, Sha256& hash) {
  return {.ok = true,
          .bytes = bytes,
          .file_bytes = offer.gguf->parts()[file_index].file_bytes,
          .file_count = static_cast<std::uint32_t>(offer.gguf->parts().size()),
          .sha256 = to_hex(hash.finish()),
          .code = {},
          .message = {}};
}

// The model and the part of it that a request means. A peer names a model; paths come from the shelf alone.
template <class Request>
Result<Offer> find_offer(const Shelf& shelf, const Request& request) {
  FLOTILLA_TRY(auto offer, shelf.find(request.model, request.fingerprint));
  if (request.file_index < offer.gguf->parts().size()) return offer;
  return fail(Code::invalid_argument, "[hub] expected one of the {} parts of '{}' but was asked for part {}",
              offer.gguf->parts().size(), offer.gguf->name(), request.file_index);
}

Status answer_header(Link& link, const Shelf& shelf, const HeaderRequest& request) {
  const auto offer = find_offer(shelf, request);
  if (!offer) return send_end(link, refusal(offer.error()));
  const Bytes& header = offer->gguf->parts()[request.file_index].header;
  Sha256 hash;
  for (std::size_t at = 0; at < header.size(); at += limits::bulk_chunk_bytes) {
    const auto chunk = std::span(header).subspan(at, std::min(header.size() - at, limits::bulk_chunk_bytes));
    hash.add(chunk);
    FLOTILLA_TRY_STATUS(link.send(FrameHeader{.kind = FrameKind::range_data}, chunk));
  }
  return send_end(link, success(*offer, request.file_index, header.size(), hash));
}

// The offer and its open file, or why the range cannot be had.
struct OpenRange {
  Offer offer;
  DiskFile file;
};
Result<OpenRange> open_range(const Shelf& shelf, const RangeRequest& request) {
  FLOTILLA_TRY(auto offer, find_offer(shelf, request));
  const std::uint64_t file_bytes = offer.gguf->parts()[request.file_index].file_bytes;
  if (request.bytes < 1 || request.bytes > transfer_piece_bytes_max || request.offset > file_bytes ||
      request.bytes > file_bytes - request.offset) {
    return fail(Code::invalid_argument, "[hub] expected 1 to {} bytes within the {} of '{}' but was asked for {} at {}",
                transfer_piece_bytes_max, file_bytes, offer.gguf->name(), request.bytes, request.offset);
  }
  if (!shelf.has(offer, {.file_index = request.file_index, .offset = request.offset, .bytes = request.bytes})) {
    return fail(Code::not_found,
                "[hub] expected to hold {} bytes at {} of '{}' but this node has only a part of the model",
                request.bytes, request.offset, offer.gguf->name());
  }
  auto file = DiskFile::open_to_read(offer.files[request.file_index]);
  // The system's words name our path; a peer needs to know only that it did not work.
  if (!file) return fail(Code::unavailable, "[hub] expected to read '{}' but could not open it", offer.gguf->name());
  return OpenRange{.offer = std::move(offer), .file = *std::move(file)};
}

Status answer_range(Link& link, const Shelf& shelf, const RangeRequest& request) {
  const auto range = open_range(shelf, request);
  if (!range) return send_end(link, refusal(range.error()));
  Sha256 hash;
  Bytes buffer(std::min<std::uint64_t>(request.bytes, limits::bulk_chunk_bytes));
  for (std::uint64_t done = 0; done < request.bytes; done += buffer.size()) {
    buffer.resize(std::min<std::uint64_t>(request.bytes - done, limits::bulk_chunk_bytes));
    if (!range->file.read(request.offset + done, buffer)) {
      return send_end(
          link, refusal({Code::unavailable, std::format("[hub] expected to read '{}' but its file ended or failed",
                                                        range->offer.gguf->name())}));
    }
    hash.add(buffer);
    if (!request.only_digest) FLOTILLA_TRY_STATUS(link.send(FrameHeader{.kind = FrameKind::range_data}, buffer));
  }
  return send_end(link, success(range->offer, request.file_index, request.bytes, hash));
}

// A request that cannot be read is refused like any other: its frame was whole, so the next one begins where it should.
Status answer(Link& link, const Shelf& shelf, const Frame& frame, const OnOtherFn& on_other) {
  if (frame.header.kind == FrameKind::header_request) {
    const auto request = decode_header_request(frame.body);
    return request ? answer_header(link, shelf, *request) : send_end(link, refusal(request.error()));
  }
  if (frame.header.kind == FrameKind::range_request) {
    const auto request = decode_range_request(frame.body);
    return request ? answer_range(link, shelf, *request) : send_end(link, refusal(request.error()));
  }
  if (on_other) return on_other(link, frame);
  return fail(Code::corrupt, "[hub] expected a header_request or range_request on a bulk connection but got {}",
              to_string(frame.header.kind));
}

}  // namespace

Status answer_requests(Link& link, const Shelf& shelf, const OnOtherFn& on_other) {
  Frame frame;
  while (true) {
    auto status = link.receive(frame, request_patience);
    if (!status && status.error().code == Code::closed) return {};
    if (status) status = answer(link, shelf, frame, on_other);
    if (status) continue;
    link.close(status.error());
    return status;
  }
}

}  // namespace flotilla
