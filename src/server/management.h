// The node's own routes, which `flotilla`'s commands use: health, cluster, doctor, placements, plan, show, load,
// unload, measure, and who belongs to the cluster: members, token, join, approve, revoke, leave.
//
// POST /load, /measure and /join answer with lines of JSON (application/x-ndjson): {"progress": …} as it goes, and last
// {"placement": …},
// {"rates": …}, {"joined": …} or {"error": …}. A load that fails before it made any progress has an error's status
// instead. Bodies here are small (64 KiB at most) and parsed on the loop; work on text goes through Backend::run_aside,
// as in generation.cc.
#pragma once

#include <memory>

#include "server/backend.h"
#include "server/http_exchange.h"
#include "server/server.h"

namespace flotilla {

class Router;

// `backend` outlives every request. json_depth_max bounds the bodies.
void add_management_routes(Router& router, Backend& backend, const ServerLimits& limits);

}  // namespace flotilla
