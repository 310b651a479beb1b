// The flags of `flotilla serve`, for CLI11. Thread: main.
#pragma once

#include <CLI/CLI.hpp>

#include "app/config_file.h"

namespace flotilla {

// `config` is read before the verb runs, and named where that fails.
void add_serve(CLI::App& app, const ConfigFile& config, int& exit_code);

}  // namespace flotilla
