#include "model/hyper_keys.h"

namespace flotilla {
namespace {

std::unexpected<Error> out_of_bounds(std::string_view key, const Gguf& gguf, auto least, auto most, auto value) {
  return fail(Code::corrupt, "[model] expected {} between {} and {} in '{}' but got {}", key, least, most, gguf.name(),
              value);
}

}  // namespace

Result<std::uint32_t> HyperKeys::number(std::string_view key, std::uint64_t least, std::uint64_t most,
                                        std::optional<std::uint32_t> fallback) const {
  if (fallback && !has(key)) return *fallback;
  FLOTILLA_TRY(const std::uint64_t value, gguf_.number(full(key)));
  if (value < least || value > most) return out_of_bounds(full(key), gguf_, least, most, value);
  return static_cast<std::uint32_t>(value);
}

Result<float> HyperKeys::real(std::string_view key, double least, double most, std::optional<float> fallback) const {
  if (fallback && !has(key)) return *fallback;
  FLOTILLA_TRY(const double value, gguf_.real(full(key)));
  if (value < least || value > most) return out_of_bounds(full(key), gguf_, least, most, value);
  return static_cast<float>(value);
}

Result<std::string> HyperKeys::text(std::string_view key, std::string_view fallback) const {
  if (!has(key)) return std::string(fallback);
  return gguf_.text(full(key));
}

Result<std::vector<std::uint32_t>> HyperKeys::per_layer(std::string_view key, std::uint32_t layers, std::uint64_t least,
                                                        std::uint64_t most,
                                                        std::optional<std::vector<std::uint32_t>> fallback) const {
  if (fallback && !has(key)) return *std::move(fallback);
  FLOTILLA_TRY(const auto values, gguf_.numbers(full(key)));
  if (values.size() != 1 && values.size() != layers) {
    return fail(Code::corrupt, "[model] expected one value or {} (one per layer) for {} in '{}' but got {}", layers,
                full(key), gguf_.name(), values.size());
  }
  std::vector<std::uint32_t> out;
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    const std::int64_t value = values[values.size() == 1 ? 0 : layer];
    if (value < static_cast<std::int64_t>(least) || value > static_cast<std::int64_t>(most)) {
      return out_of_bounds(full(key), gguf_, least, most, value);
    }
    out.push_back(static_cast<std::uint32_t>(value));
  }
  return out;
}

}  // namespace flotilla
