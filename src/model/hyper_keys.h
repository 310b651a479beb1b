// Hyper-parameters of one model: keys under its architecture's name ("llama.block_count"), each with its bounds.
// Thread: any; borrows the Gguf.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"

namespace flotilla {

class HyperKeys {
 public:
  explicit HyperKeys(const Gguf& gguf) : gguf_(gguf), prefix_(gguf.architecture() + ".") {}

  bool has(std::string_view key) const { return gguf_.has(full(key)); }
  std::string full(std::string_view key) const { return prefix_ + std::string(key); }

  // corrupt where the key is missing (and no fallback is given), of another type, or outside [least, most].
  Result<std::uint32_t> number(std::string_view key, std::uint64_t least, std::uint64_t most,
                               std::optional<std::uint32_t> fallback = {}) const;
  Result<float> real(std::string_view key, double least, double most, std::optional<float> fallback = {}) const;
  Result<std::string> text(std::string_view key, std::string_view fallback) const;

  // One value per layer, from a scalar or an array of that length.
  Result<std::vector<std::uint32_t>> per_layer(std::string_view key, std::uint32_t layers, std::uint64_t least,
                                               std::uint64_t most,
                                               std::optional<std::vector<std::uint32_t>> fallback = {}) const;

 private:
  const Gguf& gguf_;
  std::string prefix_;
};

}  // namespace flotilla
