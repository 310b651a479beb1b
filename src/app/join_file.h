// The file by which an administrator brings machines into a cluster without typing on each: one line, a token
// (docs/security.md). Thread: any.
#pragma once

#include <filesystem>
#include <optional>

#include "base/result.h"
#include "trust/join_token.h"

namespace flotilla {

inline constexpr const char* default_join_file = "/etc/flotilla/join";

// Nothing where there is no such file. permission where others than root and this user can read or own it; corrupt
// where it is not one line with a token (empty ones and those after # do not count); each with what to do.
Result<std::optional<JoinToken>> read_join_file(const std::filesystem::path& path);

}  // namespace flotilla
