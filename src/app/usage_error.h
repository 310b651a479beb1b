// What is said about a command line that CLI11 refuses: the word that is wrong and the one that was probably meant.
// Thread: main.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace flotilla {

class ConfigFile;

// The long flags of a verb without their dashes; hidden ones are left out.
std::vector<std::string> flags_of(const CLI::App& verb);

// "; did you mean 'models'?"; empty where nothing is near.
std::string did_you_mean(const std::string& typed, const std::vector<std::string>& known);

// The sentence for people, after `app` refused what it was given.
std::string usage_error(const CLI::App& app, const ConfigFile& config, const CLI::ParseError& error);

}  // namespace flotilla
