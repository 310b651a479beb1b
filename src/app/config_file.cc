#include "app/config_file.h"

#include <algorithm>
#include <cstdlib>
#include <format>

#include "app/toml.h"
#include "app/usage_error.h"
#include "base/words.h"

namespace flotilla {
namespace {

constexpr const char* path_flags[] = {"home", "models", "cluster-secret"};

std::string with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return home && path.starts_with("~/") ? home + path.substr(1) : path;
}

std::size_t line_of(const toml::node& node) { return node.source().begin.line; }

// As CLI11 takes words from a command line.
std::string word_of(const toml::node& value) {
  if (const auto text = value.value_exact<std::string>()) return *text;
  std::ostringstream words;
  value.visit([&](const auto& plain) {
    if constexpr (toml::is_value<decltype(plain)>) words << plain;
  });
  return words.str();
}

std::string sentence_of(const toml::parse_error& error) {
  std::string words(error.description());
  if (words.starts_with("Error ")) words.erase(0, sizeof("Error ") - 1);
  // The mistake people make: what looks like a word is none to TOML.
  if (words.contains("could not determine value type")) words += "; text stands in quotes";
  return words;
}

}  // namespace

// What the file sets, or the first thing wrong with it.
struct ConfigFile::Reading {
  struct Setting {
    std::string section, key;
    std::vector<std::string> words;
    std::size_t line = 0;
  };
  const ConfigFile& file;
  std::vector<Setting> settings;
  std::size_t wrong_line = 0;  // 0: nothing
  std::string what;

  void wrong(std::size_t line, const std::string& complaint) {
    if (wrong_line != 0 && wrong_line <= line) return;
    wrong_line = line;
    what = complaint;
  }

  void read(const toml::table& whole) {
    for (const auto& [name, node] : whole) {
      const std::string section(name.str());
      if (const toml::table* table = node.as_table())
        read_section(section, *table);
      else
        wrong(line_of(node),
              std::format("key '{}' stands in no section; write [{}] above it", section, file.sections_.front()));
    }
  }

  void read_section(const std::string& section, const toml::table& table) {
    if (!std::ranges::contains(file.sections_, section))
      return wrong(line_of(table), std::format("unknown section [{}]; known: {}", section, joined(file.sections_)));
    const std::vector<std::string> known = flags_of(*file.app_.get_subcommand(section));
    for (const auto& [name, value] : table) {
      const std::string key(name.str());
      if (!std::ranges::contains(known, key))
        wrong(line_of(value), std::format("unknown key '{}' in [{}]{}", key, section, did_you_mean(key, known)));
      else
        read_value({.section = section, .key = key, .words = {}, .line = line_of(value)}, value);
    }
  }

  void read_value(Setting setting, const toml::node& value) {
    if (value.is_value()) setting.words.push_back(word_of(value));
    if (const toml::array* list = value.as_array())
      for (const toml::node& item : *list) {
        if (!item.is_value()) return wrong(line_of(item), std::format("expected plain values in '{}'", setting.key));
        setting.words.push_back(word_of(item));
      }
    if (value.is_table()) return wrong(setting.line, std::format("expected a value or a list for '{}'", setting.key));
    settings.push_back(std::move(setting));
  }
};

std::string ConfigFile::path() const { return app_.get_config_ptr()->as<std::string>(); }

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  Reading reading{.file = *this, .settings = {}, .wrong_line = 0, .what = {}};
  const toml::parse_result parsed = toml::parse(input);
  if (parsed)
    reading.read(parsed.table());
  else
    reading.wrong(parsed.error().source().begin.line, sentence_of(parsed.error()));
  if (reading.wrong_line != 0) {
    error_ = std::format("{}, line {}: {}", path(), reading.wrong_line, reading.what);
    return {CLI::ConfigItem{.parents = {}, .name = error_, .inputs = {}}};
  }
  std::vector<CLI::ConfigItem> given;
  for (auto& [section, key, words, line] : reading.settings) {
    const CLI::Option& option = *app_.get_subcommand(section)->get_option("--" + key);
    const char* variable = option.get_envname().empty() ? nullptr : std::getenv(option.get_envname().c_str());
    if (!option.empty() || (variable && *variable)) continue;
    if (std::ranges::contains(path_flags, key)) std::ranges::transform(words, words.begin(), with_home);
    used_["--" + key] = line;
    given.push_back({.parents = {section}, .name = key, .inputs = std::move(words)});
  }
  return given;
}

std::string ConfigFile::origin_of(const std::string& complaint) const {
  for (const auto& [flag, line] : used_)
    if (complaint.starts_with(flag + ':') || complaint.contains(flag + ' '))
      return std::format("{}, line {}", path(), line);
  return "";
}

std::string ConfigFile::origin_of_flag(const std::string& flag) const {
  const auto found = used_.find(flag);
  return found == used_.end() ? "" : std::format("{}, line {}", path(), found->second);
}

std::string ConfigFile::settings() const {
  std::string text;
  for (const auto& [flag, line] : used_) text += (text.empty() ? path() + " sets " : ", ") + flag.substr(2);
  return text;
}

}  // namespace flotilla
