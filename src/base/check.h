// check(condition, "what must hold"): a programmer error stops the process, in release builds too.
// Never on bytes from outside (a file, a peer, a client): those are operating errors (result.h).
#pragma once

#include <source_location>
#include <string_view>

namespace flotilla {

[[noreturn]] void check_failed(std::string_view what, const std::source_location& where);

inline void check(bool condition, std::string_view what,
                  const std::source_location& where = std::source_location::current()) {
  if (!condition) [[unlikely]]
    check_failed(what, where);
}

}  // namespace flotilla
