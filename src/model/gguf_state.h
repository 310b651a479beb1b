// What a Gguf holds, for the two files that implement it.
#pragma once

#include <ggml-cpp.h>
#include <gguf.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/gguf.h"

namespace flotilla {

struct Gguf::State {
  std::string name, architecture, fingerprint;
  gguf_context_ptr metadata;  // of the first part
  std::vector<TensorPlace> places;
  std::unordered_map<std::string_view, std::size_t> place_of;  // keys view into places
  std::vector<std::filesystem::path> files;
  std::vector<GgufPart> parts;
};

// An integer of any GGUF type that fits 64 bits with a sign; nothing where the key is absent or of another type.
std::optional<std::int64_t> gguf_integer(const gguf_context& context, const char* key);

}  // namespace flotilla
