// What people type to name a model that is elsewhere. Checked strictly, because a repository's name becomes part of an
// address and of a path. Thread: any; pure.
//
//   org/name:QUANT, hf.co/org/name:QUANT, https://huggingface.co/org/name    a repository of a hub
//   smollm2-135m, smollm2-135m:Q8_0                                          a short name (short_names.h)
//   file:PATH                                                                a GGUF file that is here
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

struct ModelReference {
  std::string repository;  // "org/name"; empty where it is a file
  std::string quant;       // "Q4_K_M" or the name of a file, in any case; empty: what is usual
  std::filesystem::path file;

  std::string text() const;  // as it may be typed again
};

// invalid_argument says what was expected and which short names are close.
Result<ModelReference> parse_model_reference(std::string_view typed);

// "org/name": letters, digits, '.', '_', '-'; nothing that could be a path or another host.
bool is_repository(std::string_view text);
// A branch or a tag.
bool is_revision(std::string_view text);
// A path that stays within whatever folder it is put into: "Q4_K_M/Model-00001-of-00002.gguf".
bool is_inner_path(std::string_view text);
// As many lower-case hexadecimal digits.
inline constexpr std::size_t commit_digits = 40, sha256_digits = 64;
bool is_hex(std::string_view text, std::size_t digits);

}  // namespace flotilla
