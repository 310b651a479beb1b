// JSON from outside whose fields are to keep their order, because it is shown to models or handed on. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace flotilla {

// An object or an array; discarded where `text` is none, or nested deeper than JsonExtent::depth_max. Long texts lose
// the order of their fields: keeping it takes time that grows with the square of how many there are.
nlohmann::ordered_json parse_ordered(std::string_view text);

}  // namespace flotilla
