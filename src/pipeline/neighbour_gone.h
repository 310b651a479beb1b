// What a person can do about a machine whose stage is gone, however the socket puts it.
#pragma once

#include "base/result.h"

namespace flotilla {

inline std::unexpected<Error> neighbour_gone(const Error& cause) {
  if (cause.code != Code::closed) return fail(cause);
  return fail(Code::unavailable,
              "[pipeline] a machine that holds layers of this model is gone, or its network is ({}); send the request "
              "again, and the model is loaded on the machines that are left",
              cause.message);
}

}  // namespace flotilla
