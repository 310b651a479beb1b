// The flags of `flotilla key`, for CLI11. Thread: main.
#pragma once

#include <CLI/CLI.hpp>

namespace flotilla {

void add_key(CLI::App& app, int& exit_code);

}  // namespace flotilla
