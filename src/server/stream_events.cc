#include "server/stream_events.h"

#include <format>

namespace flotilla {

std::string data_event(const Json& data) { return "data: " + dump(data) + "\n\n"; }
std::string named_event(std::string_view name, const Json& data) {
  return std::format("event: {}\n{}", name, data_event(data));
}
std::string comment_event(std::string_view words) { return std::format(": {}\n\n", words); }

}  // namespace flotilla
