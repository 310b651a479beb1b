// What is said where a neighbour's stage or one's own is gone.
#pragma once

#include <chrono>

#include "base/result.h"
#include "io/link.h"

namespace flotilla {

// For a link's last frame, which says why this stage is lost: a neighbour that takes nothing any more is not told, so
// that the node is.
inline Link::Meanwhile until_given_up() {
  constexpr std::chrono::seconds telling_max{2};
  return [until = std::chrono::steady_clock::now() + telling_max]() -> Status {
    if (std::chrono::steady_clock::now() < until) return {};
    return fail(Code::timeout, "[pipeline] a neighbour takes nothing");
  };
}

// What a person can do about a machine whose stage is gone, however the socket puts it. Closed, not unavailable: only
// that machine knows why (app/stage_host waits for its word).
inline std::unexpected<Error> neighbour_gone(const Error& cause) {
  if (cause.code != Code::closed) return fail(cause);
  return fail(Code::closed, "[pipeline] a machine that holds layers of this model is gone, or its network is ({})",
              cause.message);
}

}  // namespace flotilla
