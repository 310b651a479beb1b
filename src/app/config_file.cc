#include "app/config_file.h"

#include <algorithm>
#include <cstdlib>
#include <format>
#include <sstream>

#include "app/usage_error.h"

namespace flotilla {
namespace {

constexpr const char* path_flags[] = {"home", "models", "cluster-secret"};

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

// What stands before the comment; `open_quote` says whether a quote is never closed.
std::string without_comment(std::string_view line, bool& open_quote) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quote == 0 && line[i] == '#') return trimmed(line.substr(0, i));
    if (quote == '"' && line[i] == '\\') {
      ++i;
    } else if (quote == 0 && (line[i] == '"' || line[i] == '\'')) {
      quote = line[i];
    } else if (line[i] == quote) {
      quote = 0;
    }
  }
  open_quote = quote != 0;
  return trimmed(line);
}

std::string with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return home && path.starts_with("~/") ? home + path.substr(1) : path;
}

}  // namespace

// One walk over the lines: checks each, and keeps what CLI11 is to read.
struct ConfigFile::Lines {
  const ConfigFile& file;
  const std::string path;
  std::string section, kept;
  std::map<std::string, std::size_t> line_of;  // "serve.threads"
  std::size_t number = 0, array_begins = 0;    // array_begins: its line while a list is not closed, else 0

  std::string error;  // the first

  void wrong(std::size_t line, const std::string& what) {
    if (error.empty()) error = std::format("{}, line {}: {}", path, line, what);
  }

  void take(std::string_view raw) {
    if (!error.empty()) return;
    ++number;
    bool open_quote = false;
    const std::string line = without_comment(raw, open_quote);
    kept += line + '\n';
    if (line.empty()) return;
    if (open_quote) return wrong(number, std::format("the quote is not closed in: {}", line));
    if (array_begins > 0) {
      if (line.ends_with(']')) array_begins = 0;
    } else if (line.starts_with('[')) {
      take_section(line);
    } else {
      take_key(line);
    }
  }

  void take_section(const std::string& line) {
    if (!line.ends_with(']'))
      return wrong(number, std::format("expected [section] but got '{}'; close the bracket", line));
    section = trimmed(std::string_view(line).substr(1, line.size() - 2));
    if (std::ranges::contains(file.sections_, section)) return;
    std::string known;
    for (const std::string& each : file.sections_) known += (known.empty() ? "" : ", ") + each;
    wrong(number, std::format("unknown section [{}]; known: {}", section, known));
  }

  void take_key(const std::string& line) {
    const auto equals = line.find('=');
    if (equals == std::string::npos || equals == 0)
      return wrong(number, std::format("expected key = value but got '{}'", line));
    const std::string key = trimmed(std::string_view(line).substr(0, equals));
    const std::string value = trimmed(std::string_view(line).substr(equals + 1));
    if (section.empty())
      return wrong(number,
                   std::format("key '{}' stands in no section; write [{}] above it", key, file.sections_.front()));
    const std::vector<std::string> known = flags_of(*file.app_.get_subcommand(section));
    if (!std::ranges::contains(known, key))
      return wrong(number, std::format("unknown key '{}' in [{}]{}", key, section, did_you_mean(key, known)));
    if (value.empty()) return wrong(number, std::format("expected a value after '{} ='", key));
    if (!line_of.emplace(section + '.' + key, number).second)
      return wrong(number, std::format("key '{}' stands twice in [{}]", key, section));
    if (value.starts_with('[') && !value.ends_with(']')) array_begins = number;
  }
};

std::string ConfigFile::path() const { return app_.get_config_ptr()->as<std::string>(); }

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  Lines lines{.file = *this, .path = path(), .section = {}, .kept = {}, .line_of = {}, .error = {}};
  for (std::string line; std::getline(input, line);)
    lines.take(lines.number == 0 && line.starts_with("\xEF\xBB\xBF") ? line.substr(3) : line);  // Notepad's mark
  if (lines.array_begins > 0) lines.wrong(lines.array_begins, "the list is not closed; end it with ]");
  error_ = lines.error;
  if (!error_.empty()) return {CLI::ConfigItem{.parents = {}, .name = error_, .inputs = {}}};
  std::istringstream kept(lines.kept);
  std::vector<CLI::ConfigItem> items = CLI::ConfigTOML::from_config(kept);
  std::erase_if(items, [&](CLI::ConfigItem& item) {
    if (item.name == "++" || item.name == "--") return false;
    const CLI::Option& option = *app_.get_subcommand(item.parents.front())->get_option("--" + item.name);
    const char* variable = option.get_envname().empty() ? nullptr : std::getenv(option.get_envname().c_str());
    if (!option.empty() || (variable && *variable)) return true;
    if (std::ranges::contains(path_flags, item.name))
      std::ranges::transform(item.inputs, item.inputs.begin(), with_home);
    used_["--" + item.name] = lines.line_of[item.parents.front() + '.' + item.name];
    return false;
  });
  return items;
}

std::string ConfigFile::origin_of(const std::string& complaint) const {
  for (const auto& [flag, line] : used_)
    if (complaint.starts_with(flag + ':') || complaint.contains(flag + ' '))
      return std::format("{}, line {}", path(), line);
  return "";
}

std::string ConfigFile::settings() const {
  std::string text;
  for (const auto& [flag, line] : used_) text += (text.empty() ? path() + " sets " : ", ") + flag.substr(2);
  return text;
}

}  // namespace flotilla
