#include "app/usage_error.h"

#include <algorithm>
#include <array>
#include <format>
#include <string_view>

#include "app/config_file.h"
#include "base/words.h"
#include "hub/closest_names.h"

namespace flotilla {
namespace {

struct VerbElsewhere {
  std::string_view theirs, ours;
};
// What other programs of this kind say for what we say otherwise.
constexpr std::array verbs_elsewhere = {VerbElsewhere{"chat", "run"},    VerbElsewhere{"status", "ps"},
                                        VerbElsewhere{"stop", "unload"}, VerbElsewhere{"ls", "list"},
                                        VerbElsewhere{"models", "list"}, VerbElsewhere{"start", "serve"},
                                        VerbElsewhere{"remove", "rm"},   VerbElsewhere{"download", "pull"}};

// Two letters in the wrong order are the commonest slip in a short word, and two edits for closest_names().
std::string nearest(const std::string& typed, const std::vector<std::string>& known) {
  for (const std::string& name : known)
    if (std::ranges::is_permutation(typed, name)) return name;
  const auto close = closest_names(typed, known);
  return close.empty() ? "" : close.front();
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); }))
    names.push_back(verb->get_name());
  return names;
}

// "key create" of a verb below a verb.
std::string name_of(const CLI::App& verb) {
  const CLI::App* above = verb.get_parent();
  return above && above->get_parent() ? above->get_name() + " " + verb.get_name() : verb.get_name();
}

std::string help_hint(const CLI::App* verb) {
  return std::format("\n`flotilla {}--help` explains.", verb ? name_of(*verb) + " " : "");
}

// Of a verb that has verbs of its own, where none of them was said.
std::string verb_below_missing(const CLI::App& verb, const std::vector<std::string>& rest) {
  const std::vector<std::string> known = verbs_of(verb);
  if (!rest.empty() && !rest.front().starts_with('-'))
    return std::format("unknown verb '{} {}'{}", verb.get_name(), rest.front(), did_you_mean(rest.front(), known));
  return std::format("{} needs one of: {}", verb.get_name(), joined(known));
}

std::string unknown_flag(const std::string& word, const CLI::App& app, const CLI::App* verb) {
  const std::string flag = word.substr(0, word.find('='));
  const std::string name = flag.substr(flag.find_first_not_of('-'));
  const std::vector<std::string> known = flags_of(verb ? *verb : app);
  if (verb && flag.starts_with("--") && std::ranges::contains(known, name))
    return std::format("{} belongs after the verb: flotilla {} {}", flag, name_of(*verb), word);
  if (verb && flag.starts_with("--") && std::ranges::contains(flags_of(app), name))
    return std::format("{} belongs before the verb: flotilla {} … {}", flag, word, name_of(*verb));
  const std::string near = nearest(name, known);
  return std::format("unknown flag {}{}", flag, near.empty() ? "" : std::format("; did you mean --{}?", near));
}

std::string verb_meant(const std::string& typed, const std::vector<std::string>& known) {
  const auto elsewhere = std::ranges::find(verbs_elsewhere, typed, &VerbElsewhere::theirs);
  if (elsewhere == verbs_elsewhere.end()) return did_you_mean(typed, known);
  return std::format("; did you mean '{}'?", elsewhere->ours);
}

std::string unexpected_word(const std::string& word, const CLI::App* verb) {
  if (verb && verb->get_name() == "run")
    return std::format("unexpected '{}' after the prompt; put a prompt of several words in quotes", word);
  return std::format("unexpected '{}'", word);
}

}  // namespace

std::vector<std::string> flags_of(const CLI::App& verb) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : verb.get_options())
    if (!option->get_group().empty() && option != verb.get_help_ptr())
      for (const std::string& name : option->get_lnames()) flags.push_back(name);
  return flags;
}

std::string did_you_mean(const std::string& typed, const std::vector<std::string>& known) {
  const std::string near = nearest(typed, known);
  return near.empty() ? "" : std::format("; did you mean '{}'?", near);
}

std::string usage_error(const CLI::App& app, const ConfigFile& config, const CLI::ParseError& error) {
  const std::string said = error.what();
  if (!config.error().empty()) return config.error();
  if (const std::string origin = config.origin_of(said); !origin.empty())
    return std::format("{}: {}", origin, said.starts_with("--") ? said.substr(2) : said);  // keys have no dashes
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App* verb = chosen.empty() ? nullptr : chosen.front();
  const std::vector<std::string> rest = app.remaining(true);
  if (verb && !verbs_of(*verb).empty()) {
    if (verb->get_subcommands().empty()) return verb_below_missing(*verb, rest) + help_hint(verb);
    verb = verb->get_subcommands().front();
  }
  const auto flag = std::ranges::find_if(rest, [](const std::string& word) {
    return word.starts_with('-') && word.find_first_not_of('-') != std::string::npos;
  });
  if (!verb && !rest.empty() && flag != rest.begin())
    return std::format("unknown verb '{}'{}", rest.front(), verb_meant(rest.front(), verbs_of(app))) +
           help_hint(nullptr);
  if (!verb && rest.empty()) return "a verb is missing, such as run or serve" + help_hint(nullptr);
  if (flag != rest.end()) return unknown_flag(*flag, app, verb) + help_hint(verb);
  if (!rest.empty() && dynamic_cast<const CLI::ExtrasError*>(&error))
    return unexpected_word(rest.front(), verb) + help_hint(verb);
  return said + help_hint(verb);
}

}  // namespace flotilla
