// Hands a message on where it decodes. One that does not is logged and dropped: the connection it came by lives on.
//
// Thread: any.
#pragma once

#include <utility>

#include "base/log.h"
#include "base/result.h"
#include "wire/frame.h"

namespace flotilla {

template <class T, class Use>
void unpack(Result<T> message, const Frame& frame, const Use& use) {
  if (message) return use(*std::move(message));
  log(LogLevel::warning, "app", "dropped a {} message: {}", to_string(frame.header.kind), message.error().message);
}

}  // namespace flotilla
