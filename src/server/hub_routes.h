// Models that come from a hub and go again, as whole files of the machine asked: what there is (GET /hub/models),
// pulling (POST /pull, GET /pulls), deleting (POST /delete), and the same as Ollama's clients ask for it (POST
// /api/pull, DELETE /api/delete).
//
// POST /pull answers with lines of JSON: {"progress": …} and {"note": …} as it goes, and last {"pulled": …} or
// {"error": …}. Who asks for what is being pulled already watches the same pull; it ends with its last watcher.
#pragma once

#include "server/backend.h"
#include "server/server.h"

namespace flotilla {

class Router;

void add_hub_routes(Router& router, Backend& backend, const ServerLimits& limits);

}  // namespace flotilla
