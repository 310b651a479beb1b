#include "app/command_tree.h"

#include <cstdlib>
#include <utility>

namespace flotilla {
namespace {

// CLI11 keeps what IsMember() allows as a part of the type's name: "TEXT:{f32,bf16}".
std::vector<std::string> choices_in(const std::string& type) {
  const auto begin = type.find(":{");
  if (begin == std::string::npos || !type.ends_with('}')) return {};
  return CLI::detail::split(type.substr(begin + 2, type.size() - begin - 3), ',');
}

// A path below this user's home is below anybody's: what is made here may be read by others.
std::string of_anybody(const std::string& text) {
  const char* home = std::getenv("HOME");
  if (!home || *home == '\0' || !text.starts_with(std::string(home) + "/")) return text;
  return "~" + text.substr(std::string_view(home).size());
}

CommandFlag flag_of(const CLI::Option& option) {
  CommandFlag flag{.name = option.get_positional() ? option.get_name(true) : option.get_name(false, true),
                   .help = option.get_description(),
                   .variable = option.get_envname(),
                   .usual = of_anybody(option.get_default_str()),
                   .choices = choices_in(option.get_type_name()),
                   .is_positional = option.get_positional(),
                   .is_required = option.get_required(),
                   .takes_value = option.get_items_expected_max() > 0};
  if (!flag.is_positional)
    flag.name = option.get_lnames().empty() ? "-" + option.get_snames().front() : "--" + option.get_lnames().front();
  return flag;
}

void collect(const CLI::App& app, const std::string& path, std::vector<CommandVerb>& into) {
  const std::size_t own = into.size();
  into.push_back({.path = path, .help = app.get_description(), .footer = app.get_footer(), .flags = {}, .below = {}});
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty()) into[own].flags.push_back(flag_of(*option));
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); })) {
    into[own].below.push_back(verb->get_name());
    collect(*verb, path.empty() ? verb->get_name() : path + " " + verb->get_name(), into);
  }
}

}  // namespace

std::vector<CommandVerb> command_tree(const CLI::App& app) {
  std::vector<CommandVerb> verbs;
  collect(app, "", verbs);
  return verbs;
}

}  // namespace flotilla
