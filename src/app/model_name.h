// A model's name as people type it: the whole name, or a beginning of it in any case that fits only one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/api_client.h"
#include "base/result.h"

namespace flotilla {

constexpr std::string_view add_by_serving = "flotilla serve --models DIR";

// not_found names what there is, or where there is nothing the command that would change that; invalid_argument names
// those that fit.
Result<std::string> match_model_name(const std::vector<std::string>& known, const std::string& typed,
                                     std::string_view how_to_add = add_by_serving);
Result<std::string> resolve_model_name(ApiClient& client, const std::string& typed,
                                       std::string_view how_to_add = add_by_serving);
// The same for what may come from a hub meanwhile: a name of a hub that no machine has yet is a name too.
Result<std::string> resolve_name_to_load(ApiClient& client, const std::string& typed);

}  // namespace flotilla
