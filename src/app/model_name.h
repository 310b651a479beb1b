// A model's name as people type it: the whole name, or a beginning of it in any case that fits only one.
#pragma once

#include <string>
#include <vector>

#include "app/api_client.h"
#include "base/result.h"

namespace flotilla {

// not_found names what there is; invalid_argument names those that fit.
Result<std::string> match_model_name(const std::vector<std::string>& known, const std::string& typed);
Result<std::string> resolve_model_name(ApiClient& client, const std::string& typed);

}  // namespace flotilla
