// The 48 bytes before everything that travels. As they come, and with both checksums set right: else no change of a
// field would ever get past them.
#include <utility>

#include "fuzz.h"
#include "wire/frame.h"

namespace flotilla::fuzz {
namespace {

void decode_as_it_came(std::span<const std::byte> input) {
  if (input.size() < frame_header_bytes) return;
  const auto header = decode_header(input.first<frame_header_bytes>());
  if (!header) return claim(header.error().message.starts_with("[wire] "), "an error says whose it is");
  claim(header->body_bytes <= body_bytes_max(header->kind), "a body is within its kind's limit");
  const bool whole = check_body(*header, input.subspan(frame_header_bytes)).has_value();
  claim(!whole || input.size() == frame_header_bytes + header->body_bytes, "a whole body has its length");
}

void decode_repaired(Input input) {
  FrameHeader header;
  header.version = input.number<std::uint16_t>() % 4;
  header.kind = static_cast<FrameKind>(input.number<std::uint16_t>());
  header.epoch = {input.number<std::uint64_t>(), input.number<std::uint32_t>()};
  header.step = input.number<std::uint64_t>();
  const auto spoiled_bit = input.number<std::uint16_t>() % (frame_header_bytes * 8);
  const auto body = input.rest();

  FrameHeaderBytes bytes = encode_header(header, body);
  const auto read = decode_header(bytes);
  const bool fits = body.size() <= body_bytes_max(header.kind);
  if (read) {
    claim(fits && read->kind == header.kind && read->version == header.version && read->epoch == header.epoch &&
              read->step == header.step && read->body_bytes == body.size(),
          "what was sent is read");
    claim(check_body(*read, body).has_value(), "the body has its checksum");
    if (!body.empty()) claim(!check_body(*read, body.first(body.size() - 1)), "a shorter body is noticed");
  } else {
    claim(!fits || header.version != protocol_version, "only a size or a version is refused");
  }
  claim(!to_string(header.kind).empty(), "a kind has a name");
  bytes[spoiled_bit / 8] ^= std::byte{1} << (spoiled_bit % 8);
  claim(!decode_header(bytes), "a bit that flipped is noticed");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flotilla::fuzz::decode_as_it_came(flotilla::fuzz::bytes_of_input(data, size));
  flotilla::fuzz::decode_repaired({data, size});
  return 0;
}
