// The ring's two binary bodies: steps with activations, and the likeliest tokens of a slice. The first byte chooses
// which, and whether a step's body gets the length that its counts ask for.
#include <algorithm>
#include <array>

#include "fuzz.h"
#include "wire/likeliest.h"
#include "wire/step.h"
#include "wire/values.h"

namespace flotilla::fuzz {
namespace {

constexpr std::size_t head_bytes = 32, body_bytes_wanted_max = 64u << 10;

Bytes encoded(const StepBatch& batch, const Activations& activations, ActivationType type) {
  Bytes body;
  encode_step(batch, activations.values, activations.width, type, body);
  return body;
}

void read_step(std::span<const std::byte> body) {
  StepBatch batch;
  Activations activations;
  const FrameHeader header{.kind = FrameKind::step, .epoch = {1, 2}, .step = 3};
  if (const auto read = decode_step(header, body, batch, activations); !read)
    return claim(read.error().message.starts_with("[wire] "), "an error says whose it is");
  claim(batch.rows.size() <= limits::step_rows_max, "rows are within their limit");
  for (const StepRow& row : batch.rows) {
    claim(row.sequence.value < limits::sequences_max && row.position < limits::context_tokens_max, "a row is in range");
    claim(row.token >= 0 && row.token < static_cast<TokenId>(limits::vocabulary_max), "a token is in range");
  }
  claim(activations.values.size() == std::size_t{activations.rows} * activations.width, "values are whole rows");
  const auto type = std::to_integer<int>(body[24]) == 0 ? ActivationType::f32 : ActivationType::bf16;
  Bytes canonical = encoded(batch, activations, type);
  if (activations.rows == 0) return;  // the width is then without meaning, and not sent
  if (type == ActivationType::f32) return claim(std::ranges::equal(canonical, body), "a step is read as it was sent");
  claim(decode_step(header, canonical, batch, activations).has_value(), "what was read can be sent");
  claim(encoded(batch, activations, type) == canonical, "rounded values stay as they are");
}

// A body whose counts are small and whose length fits them; what the input lacks is zero.
Bytes fitting_body(Input input) {
  std::array<std::uint32_t, 8> head{};
  for (auto& count : head) count = input.number<std::uint8_t>();
  head[6] &= 1;
  head[7] = 0;
  const auto [rows, frees, truncates, copies, activation_rows, width, type, reserved] = head;
  std::size_t bytes = head_bytes + rows * std::size_t{16} + frees * std::size_t{4} + truncates * std::size_t{8} +
                      copies * std::size_t{12};
  bytes += std::size_t{activation_rows} * width * value_bytes(static_cast<ActivationType>(type));
  Bytes body(std::min(bytes, body_bytes_wanted_max));
  std::memcpy(body.data(), head.data(), head_bytes);
  const auto rest = input.bytes(body.size() - head_bytes);
  std::ranges::copy(rest, body.begin() + head_bytes);
  return body;
}

void read_likeliest(std::span<const std::byte> body) {
  LikeliestSlice slice;
  if (!decode_likeliest(body, slice)) return;
  claim(slice.rows.size() <= limits::logits_rows_max, "rows are within their limit");
  for (const auto& [token, logit] : slice.rows)
    claim(token >= static_cast<TokenId>(slice.first) && token < static_cast<TokenId>(slice.end), "a token is its own");
  claim(std::ranges::equal(encode(slice), body), "a slice is read as it was sent");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla::fuzz;
  Input input(data, size);
  switch (input.number<std::uint8_t>() % 3) {
    case 0:
      read_step(input.rest());
      break;
    case 1:
      read_step(fitting_body(input));
      break;
    default:
      read_likeliest(input.rest());
  }
  return 0;
}
