// Reads the configuration file (TOML, by toml++) for CLI11, whose own reader skips what it does not know or reports it
// without a word about the file. Thread: main.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace flotilla {

// `app` outlives it and has set_config(). Each subcommand in `sections` may have a section of its name with its flags
// as keys.
class ConfigFile : public CLI::Config {
 public:
  ConfigFile(const CLI::App& app, std::vector<std::string> sections) : app_(app), sections_(std::move(sections)) {}

  // `~/` is expanded in paths. A key whose environment variable is set is left out: the environment goes before the
  // file. Of a file that is wrong, one item of no flag, which CLI11 refuses; error() then has the words.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
  // Nothing is written: there is no verb for it.
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

  // Names the file, the line and what was probably meant; empty where nothing is wrong.
  const std::string& error() const { return error_; }
  // "FILE, line 3" where CLI11 complains about a value (--threads: ...) that came from the file; empty otherwise.
  std::string origin_of(const std::string& complaint) const;
  // "FILE sets models, threads"; empty where it sets nothing that counts.
  std::string settings() const;
  // "FILE, line 3" where this flag's value ("--threads") came from the file; empty otherwise.
  std::string origin_of_flag(const std::string& flag) const;

 private:
  struct Reading;
  std::string path() const;

  const CLI::App& app_;
  const std::vector<std::string> sections_;
  mutable std::string error_;
  mutable std::map<std::string, std::size_t> used_;  // flag: its line. Mutable: from_config is const in CLI11
};

}  // namespace flotilla
