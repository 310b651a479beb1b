// POST /load as the verbs use it: waits for its end and shows how far it is.
#pragma once

#include <nlohmann/json.hpp>

#include "app/api_client.h"
#include "base/result.h"

namespace flotilla {

// `body` as docs/api.md has it; answers the placement. The node's error where it could not be loaded.
Result<nlohmann::json> load_showing_progress(ApiClient& client, const nlohmann::json& body);

}  // namespace flotilla
