// Reads the configuration file for CLI11, once it has looked at it itself: CLI11 skips what it does not know or reports
// it without a word about the file. Thread: main.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace flotilla {

// `app` outlives it and has set_config(). Each subcommand in `sections` may have a section of its name with its flags
// as keys.
class ConfigFile : public CLI::ConfigTOML {
 public:
  ConfigFile(const CLI::App& app, std::vector<std::string> sections) : app_(app), sections_(std::move(sections)) {}

  // Throws CLI::ConfigError, which names the file, the line and what was probably meant. `~/` is expanded in paths. A
  // key whose environment variable is set is left out: the environment goes before the file.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

  // Names the file, the line and what was probably meant; empty where nothing is wrong.
  const std::string& error() const { return error_; }
  // "FILE, line 3" where CLI11 complains about a value (--threads: ...) that came from the file; empty otherwise.
  std::string origin_of(const std::string& complaint) const;
  // "FILE sets models, threads"; empty where it sets nothing that counts.
  std::string settings() const;

 private:
  struct Lines;
  std::string path() const;

  const CLI::App& app_;
  const std::vector<std::string> sections_;
  mutable std::string error_;
  mutable std::map<std::string, std::size_t> used_;  // flag: its line. Mutable: from_config is const in CLI11
};

}  // namespace flotilla
