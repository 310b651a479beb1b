// Server-sent events (the HTML standard, section 9.2) as text: what several dialects' streams are made of.
// Thread: any; pure.
#pragma once

#include <string>
#include <string_view>

#include "server/json_body.h"

namespace flotilla {

inline constexpr std::string_view event_stream_type = "text/event-stream; charset=utf-8";

std::string data_event(const Json& data);                          // "data: {…}\n\n"
std::string named_event(std::string_view name, const Json& data);  // "event: name\ndata: {…}\n\n"
std::string comment_event(std::string_view words);                 // ": words\n\n"

}  // namespace flotilla
