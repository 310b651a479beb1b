#include "app/config_show.h"

#include <algorithm>
#include <cstdlib>
#include <format>
#include <memory>
#include <nlohmann/json.hpp>
#include <print>

#include "app/home.h"
#include "app/terminal.h"
#include "app/usage_error.h"
#include "base/words.h"

namespace flotilla {
namespace {

using nlohmann::ordered_json;

// Only the variables that count: CLI11 takes an empty one for none.
std::string variable_of(const CLI::Option& option) {
  const char* value = option.get_envname().empty() ? nullptr : std::getenv(option.get_envname().c_str());
  return value && *value != '\0' ? option.get_envname() : "";
}

bool is_said(const CLI::Option& option, std::span<const std::string> words) {
  return std::ranges::any_of(option.get_lnames(), [&](const std::string& name) {
    return std::ranges::any_of(
        words, [&](const std::string& word) { return word == "--" + name || word.starts_with("--" + name + "="); });
  });
}

std::string origin_of(const CLI::Option& option, const ConfigFile& config, std::span<const std::string> words) {
  if (option.empty()) return "default";
  if (is_said(option, words)) return "flag";
  if (const auto variable = variable_of(option); !variable.empty()) return "environment " + variable;
  const auto line = config.origin_of_flag("--" + option.get_lnames().front());
  return line.empty() ? "default" : line;
}

// "(default: every core)" in a flag's help, where its value is not a plain one.
std::string usual_of(const CLI::Option& option) {
  if (const std::string text = option.get_default_str(); !text.empty() && text != "[]") return text;
  if (option.get_items_expected_max() == 0) return "false";
  constexpr std::string_view mark = "(default: ";
  const std::string& help = option.get_description();
  const auto begin = help.find(mark);
  if (begin == std::string::npos) return "";
  return "(" + help.substr(begin + mark.size());
}

struct ConfigShowFlags {
  bool origin = false, json = false;
  std::vector<std::string> words;
};

void print_settings(const std::vector<Setting>& settings, const ConfigShowFlags& flags) {
  if (flags.json) {
    auto list = ordered_json::object();
    for (const Setting& each : settings) {
      ordered_json value =
          each.usual.empty() || each.usual.starts_with('(') ? ordered_json() : ordered_json(each.usual);
      if (each.values.size() == 1) value = each.values.front();
      if (each.values.size() > 1) value = each.values;
      list[each.name] = {{"value", value}, {"origin", each.origin}};
    }
    return std::println("{}", list.dump(2));
  }
  std::vector<std::vector<std::string>> rows{{"SETTING", "VALUE"}};
  if (flags.origin) rows.front().emplace_back("ORIGIN");
  for (const Setting& each : settings) {
    rows.push_back({each.name, each.values.empty() ? (each.usual.empty() ? "-" : each.usual) : joined(each.values)});
    if (flags.origin) rows.back().push_back(each.origin);
  }
  std::print("{}", draw_columns(rows));
}

// Reads the flags of serve as serve itself would, and runs nothing.
int show_config(const CLI::App& app, const AddVerbs& add_verbs, const ConfigShowFlags& flags) {
  CLI::App other;
  const auto reader = std::make_shared<ConfigFile>(other, std::vector<std::string>{"serve"});
  int ignored = 0;
  add_verbs(other, *reader, ignored);
  set_config_file(other, reader);
  CLI::App* serve = other.get_subcommand("serve");
  serve->callback([] {});
  std::vector<std::string> words{"serve"};
  if (const CLI::Option* file = app.get_config_ptr(); !file->empty() && variable_of(*file).empty())
    words = {"--config", file->as<std::string>(), "serve"};
  words.insert(words.end(), flags.words.begin(), flags.words.end());
  std::ranges::reverse(words);  // CLI11 wants the last one first
  try {
    other.parse(words);
  } catch (const CLI::ParseError& error) {
    std::println(stderr, "flotilla: {}", usage_error(other, *reader, error));
    return 2;
  }
  print_settings(settings_of(*serve, *reader, flags.words), flags);
  return 0;
}

}  // namespace

std::vector<Setting> settings_of(const CLI::App& verb, const ConfigFile& config, std::span<const std::string> words) {
  std::vector<Setting> settings;
  for (const CLI::Option* option : verb.get_options()) {
    if (option->get_group().empty() || option == verb.get_help_ptr() || option->get_lnames().empty()) continue;
    Setting setting{.name = option->get_lnames().front(),
                    .values = {},
                    .usual = usual_of(*option),
                    .origin = origin_of(*option, config, words)};
    if (setting.origin != "default") setting.values = option->reduced_results();
    if (setting.name == "join" && !setting.values.empty()) setting.values = {"(a token)"};  // a secret
    settings.push_back(std::move(setting));
  }
  return settings;
}

void set_config_file(CLI::App& app, const std::shared_ptr<ConfigFile>& reader) {
  app.set_config("--config", (default_home() / "config.toml").string(),
                 "Configuration file; [serve] holds the flags of serve")
      ->envname("FLOTILLA_CONFIG");
  app.config_formatter(reader);
  app.allow_config_extras(CLI::config_extras_mode::error);
}

void add_config(CLI::App& app, AddVerbs add_verbs, int& exit_code) {
  CLI::App* config = app.add_subcommand("config", "What this machine's node would be set to: show");
  config->require_subcommand(1);
  config->footer("Example:\n  flotilla config show --origin");
  CLI::App* verb = config->add_subcommand("show", "Each setting of serve, here and now, and whence it comes");
  verb->footer(
      "Examples:\n  flotilla config show --origin\n  flotilla config show --origin -- --memory 8G     as with this "
      "flag\n"
      "  sudo -u flotilla env FLOTILLA_CONFIG=/etc/flotilla/config.toml flotilla config show     the service's");
  const auto flags = std::make_shared<ConfigShowFlags>();
  verb->add_flag("--origin", flags->origin, "Also whence: a flag, the environment, a line of the file, or the default");
  verb->add_flag("--json", flags->json, "Print JSON, for scripts");
  verb->add_option("FLAGS", flags->words, "Flags of serve to look at it with, after --");
  verb->callback(
      [flags, &app, add_verbs = std::move(add_verbs), &exit_code] { exit_code = show_config(app, add_verbs, *flags); });
}

}  // namespace flotilla
