// Reads the headers of GGUF files from disk, and finds the parts of a split one.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "model/gguf.h"

namespace flotilla {

// Reads the file's header and not a byte of its tensors. not_found, permission, corrupt, unsupported, too_large.
Result<GgufPart> read_gguf_part(const std::filesystem::path& path);

// "X-00002-of-00007.gguf" taken apart; count 0 where the name has no such form.
struct SplitName {
  std::string stem;  // "X", or the whole stem where it is not split
  std::uint32_t number = 0, count = 0;
};
SplitName parse_split_name(const std::filesystem::path& path);

std::string part_name(const SplitName& split, std::uint32_t number);  // of a split file; what parse_split_name() reads

inline constexpr std::uint32_t split_parts_max = 512;

}  // namespace flotilla
