// What machines measured, as JSON: in GET /cluster, in the cache in the home, in `flotilla measure --json`.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "cluster/view.h"
#include "wire/node_info.h"

namespace flotilla {

nlohmann::json rates_json(const MachineRates& rates);
// corrupt for anything that rates_json would not have written.
Result<MachineRates> rates_from_json(const nlohmann::json& json);

nlohmann::json links_json(const std::vector<LinkRate>& links, const ClusterView& view);

}  // namespace flotilla
