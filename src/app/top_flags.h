// The flags of `flotilla top`, for CLI11. Thread: main.
#pragma once

#include <CLI/CLI.hpp>

namespace flotilla {

void add_top(CLI::App& app, int& exit_code);

}  // namespace flotilla
