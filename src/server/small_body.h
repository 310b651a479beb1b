// A request's body that is parsed at once, on the loop: of at most 64 KiB.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>

#include "server/api_error.h"

namespace flotilla {

// too_large, and whatever parse_json() says.
ApiResult<nlohmann::json> small_body(const HttpRequest& request, std::size_t depth_max);

}  // namespace flotilla
