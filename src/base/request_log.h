// Lines of the log about one request: they carry its id, in JSON lines as a field of its own. Thread: any.
#pragma once

#include "base/log.h"

namespace flotilla {

void write_request_log(LogLevel level, std::string_view room, std::string_view request, std::string_view message);

// `request` is the id that its client has of it (server/request_id.h).
template <class... Args>
void log_request(LogLevel level, std::string_view room, std::string_view request, std::format_string<Args...> format,
                 Args&&... args) {
  if (log_enabled(level)) write_request_log(level, room, request, std::format(format, std::forward<Args>(args)...));
}

}  // namespace flotilla
