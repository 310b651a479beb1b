// `flotilla plan MODEL --what-if FLEET`: prints what a fleet from a file would do. Needs no node. Thread: main.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/fleet_file.h"
#include "app/verbs.h"
#include "planner/what_if.h"

namespace flotilla {

int show_what_if(const VerbOptions& options, const LoadWishes& wishes, const std::string& fleet);

// The answer as --json prints it, and as a table with sentences for people.
nlohmann::json what_if_json(const FleetFile& file, const ModelShape& shape, const WhatIf& answer);
std::string what_if_text(const FleetFile& file, const ModelShape& shape, const WhatIf& answer);

}  // namespace flotilla
