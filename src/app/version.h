// The release, as peers and people see it. The protocol's own version is in wire/frame.h.
#pragma once

#include <string_view>

namespace flotilla {

inline constexpr std::string_view flotilla_version = FLOTILLA_VERSION;  // set by CMake from project(VERSION)

}  // namespace flotilla
