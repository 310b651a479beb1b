// Variables of the environment that hold values which their flags would refuse. CLI11 passes over those without a word.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>

namespace flotilla {

// Which of them the verb in `words` would have used, and why not; empty where all are fine or not used.
std::string refused_variable(CLI::App& app, std::span<char*> words);

}  // namespace flotilla
