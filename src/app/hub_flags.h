// The flags of `flotilla pull`, `rm` and `verify`, for CLI11. Thread: main.
#pragma once

#include <CLI/CLI.hpp>

namespace flotilla {

void add_hub_verbs(CLI::App& app, int& exit_code);

}  // namespace flotilla
