// `flotilla config show`: what serve would be set to here and now, and whence each setting comes. Thread: main.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "app/config_file.h"

namespace flotilla {

struct Setting {
  std::string name;                 // a flag without its dashes
  std::vector<std::string> values;  // empty: whatever `usual` says
  std::string usual;                // its value where nothing is said, or words on that
  std::string origin;               // "flag", "environment FLOTILLA_HOME", "/etc/…/config.toml, line 3", "default"
};

// Of a verb that has been parsed from `words`, and from the file as `config` read it.
std::vector<Setting> settings_of(const CLI::App& verb, const ConfigFile& config, std::span<const std::string> words);

// Makes an `app` with all verbs, for another look at the same command line.
using AddVerbs = std::function<void(CLI::App& app, const ConfigFile& config, int& exit_code)>;
void add_config(CLI::App& app, AddVerbs add_verbs, int& exit_code);

// The flag --config, in an `app` whose verbs are there. The file is `reader`'s to read.
void set_config_file(CLI::App& app, const std::shared_ptr<ConfigFile>& reader);

}  // namespace flotilla
