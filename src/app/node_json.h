// How the node's state looks to people and scripts: the JSON of the management routes (docs/api.md).
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "app/head_desk.h"
#include "cluster/view.h"
#include "hub/store.h"
#include "planner/planner.h"
#include "wire/control.h"

namespace flotilla {

nlohmann::json cluster_json(const ClusterView& view);                                // GET /cluster
nlohmann::json placement_json(const Placement& placement, const ClusterView& view);  // one of its placements
nlohmann::json stats_json(const StatsPerStage& stages);                              // its counters; not empty
nlohmann::json waiting_json(const ClusterView& view);                // who waits for a model that was lost
nlohmann::json wishes_json(const LoadModel& order);                  // what it was loaded by
nlohmann::json plan_json(const Plan& plan, const LoadModel& order);  // GET /plan
Result<nlohmann::json> model_json(const StoredModel& model);         // GET /models/{id}

// The body of POST /load or the query of GET /plan; strings are accepted for numbers, as a query has only strings.
Result<LoadModel> load_model_from_json(const nlohmann::json& arguments);

}  // namespace flotilla
