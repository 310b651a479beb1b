#include "app/completion.h"

#include <algorithm>
#include <format>
#include <memory>
#include <print>

#include "app/manual.h"
#include "base/words.h"

namespace flotilla {
namespace {

constexpr std::string_view origin = "# Made by `flotilla completion {}` from the program's own command line.\n";
// What `flotilla list` prints, without its heading; nothing where no node runs.
constexpr std::string_view models_command = "flotilla list 2>/dev/null </dev/null | awk 'NR > 1 && NF > 1 {print $1}'";

// The first sentence, or what stands before a colon or a bracket: shells show one line.
std::string shortened(const std::string& help) {
  std::string text = help.substr(0, help.find_first_of(";:("));
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

std::string in_single_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

bool asks_for_model(const CommandVerb& verb) {
  return std::ranges::any_of(verb.flags, [](const CommandFlag& flag) { return flag.name == "MODEL"; });
}

std::vector<std::string> words_of(const CommandVerb& verb) {
  std::vector<std::string> words = verb.below;
  for (const CommandFlag& flag : verb.flags) {
    if (!flag.is_positional) words.push_back(flag.name);
    if (flag.is_positional) words.insert(words.end(), flag.choices.begin(), flag.choices.end());
  }
  return words;
}

// A `case` arm for each verb that may follow what was said before it, for bash and zsh alike.
std::string verb_arms(const std::vector<CommandVerb>& verbs) {
  std::string text;
  for (const CommandVerb& verb : verbs)
    for (const std::string& below : verb.below)
      text += std::format("      '{}') verb='{}' ;;\n", verb.path + " " + below,
                          verb.path.empty() ? below : verb.path + " " + below);
  return text;
}

// A `case` arm for each flag that takes a value; `choices` and `files` make what stands in it.
template <class Choices>
std::string value_arms(const std::vector<CommandVerb>& verbs, const Choices& choices, std::string_view files) {
  std::string text;
  for (const CommandVerb& verb : verbs)
    for (const CommandFlag& flag : verb.flags) {
      if (!flag.takes_value || flag.is_positional) continue;
      text += std::format("    '{} {}') {}; return ;;\n", verb.path, flag.name,
                          flag.choices.empty() ? std::string(files) : choices(joined(flag.choices, " ")));
    }
  return text;
}

std::string bash_script(const std::vector<CommandVerb>& verbs) {
  std::string text = std::vformat(origin, std::make_format_args("bash"));
  text +=
      "_flotilla() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb= words= i\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n    case \"$verb ${COMP_WORDS[i]}\" in\n" +
      verb_arms(verbs) + "    esac\n  done\n  COMPREPLY=()\n  case \"$verb $previous\" in\n" +
      value_arms(
          verbs,
          [](const std::string& words) { return std::format("COMPREPLY=($(compgen -W '{}' -- \"$current\"))", words); },
          "compopt -o default") +
      "  esac\n  case \"$verb\" in\n";
  for (const CommandVerb& verb : verbs) {
    text += std::format("    '{}') words='{}' ;;\n", verb.path, joined(words_of(verb), " "));
  }
  text += "  esac\n  case \"$verb\" in\n";
  for (const CommandVerb& verb : verbs)
    if (asks_for_model(verb))
      text += std::format("    '{}') [[ $current == -* ]] || words+=\" $({})\" ;;\n", verb.path, models_command);
  return text + "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\ncomplete -F _flotilla flotilla\n";
}

// "name:help", as _describe wants it.
std::string described(const std::string& name, const std::string& help) {
  return in_single_quotes(name + ":" + shortened(help)) + " ";
}

std::string zsh_script(const std::vector<CommandVerb>& verbs) {
  std::string text = "#compdef flotilla\n" + std::vformat(origin, std::make_format_args("zsh"));
  text +=
      "_flotilla() {\n"
      "  local verb= word\n  local -a below flags models\n"
      "  for word in ${words[2,CURRENT-1]}; do\n    case \"$verb $word\" in\n" +
      verb_arms(verbs) + "    esac\n  done\n  case \"$verb $words[CURRENT-1]\" in\n" +
      value_arms(
          verbs, [](const std::string& words) { return "compadd -- " + words; }, "_files") +
      "  esac\n  case \"$verb\" in\n";
  for (const CommandVerb& verb : verbs) {
    std::string below, flags;
    for (const CommandVerb& each : verbs)
      for (const std::string& name : verb.below)
        if (each.path == (verb.path.empty() ? name : verb.path + " " + name)) below += described(name, each.help);
    for (const CommandFlag& flag : verb.flags) {
      if (!flag.is_positional) flags += described(flag.name, flag.help);
      for (const std::string& choice : flag.choices)
        if (flag.is_positional) below += described(choice, flag.help);
    }
    text += std::format("    '{}')\n      below=({})\n      flags=({})\n", verb.path, below, flags);
    if (asks_for_model(verb)) text += std::format("      models=(${{(f)\"$({})\"}})\n", models_command);
    text += "      ;;\n";
  }
  return text +
         "  esac\n"
         "  (( $#below )) && _describe verb below\n"
         "  (( $#models )) && compadd -- $models\n"
         "  _describe -o flag flags\n}\n"
         "if [ \"$funcstack[1]\" = _flotilla ]; then _flotilla \"$@\"; else compdef _flotilla flotilla; fi\n";
}

std::string seen_before(const std::string& path) {
  if (path.empty()) return "__fish_use_subcommand";
  std::string text;
  for (const std::string& word : CLI::detail::split(path, ' '))
    text += (text.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
  return text;
}

std::string fish_script(const std::vector<CommandVerb>& verbs) {
  std::string text = std::vformat(origin, std::make_format_args("fish")) + "complete -c flotilla -f\n";
  for (const CommandVerb& verb : verbs) {
    std::string when = seen_before(verb.path);
    if (!verb.path.empty() && !verb.below.empty())
      when += "; and not __fish_seen_subcommand_from " + joined(verb.below, " ");
    const std::string start = "complete -c flotilla -n " + in_single_quotes(when);
    for (const CommandVerb& each : verbs)
      for (const std::string& name : verb.below)
        if (each.path == (verb.path.empty() ? name : verb.path + " " + name))
          text += std::format("{} -a {} -d {}\n", start, name, in_single_quotes(shortened(each.help)));
    for (const CommandFlag& flag : verb.flags) {
      const std::string choices = flag.choices.empty() ? "" : " -a " + in_single_quotes(joined(flag.choices, " "));
      if (!flag.is_positional)
        text += std::format("{} -l {}{}{} -d {}\n", start, flag.name.substr(flag.name.find_first_not_of('-')),
                            flag.takes_value ? (choices.empty() ? " -r -F" : " -x") : "", choices,
                            in_single_quotes(shortened(flag.help)));
      else if (flag.name == "MODEL")
        text += std::format("{} -a {}\n", start, in_single_quotes(std::format("({})", models_command)));
      else if (!choices.empty())
        text += start + choices + "\n";
    }
  }
  return text;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<CommandVerb>& verbs) {
  if (shell == "zsh") return zsh_script(verbs);
  return shell == "fish" ? fish_script(verbs) : bash_script(verbs);
}

void add_completion(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("completion", "Print what makes a shell complete this program's verbs and flags");
  verb->footer(
      "Examples:\n  source <(flotilla completion bash)             in ~/.bashrc\n"
      "  source <(flotilla completion zsh)              in ~/.zshrc, after compinit\n"
      "  flotilla completion fish > ~/.config/fish/completions/flotilla.fish");
  const auto shell = std::make_shared<std::string>();
  verb->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(completion_shells.begin(), completion_shells.end())));
  verb->callback([shell, &app, &exit_code] {
    std::print("{}", completion_script(*shell, command_tree(app)));
    exit_code = 0;
  });
  CLI::App* manual = app.add_subcommand("man", "Print the manual page, for man -l -")->group("");
  manual->callback([&app, &exit_code] {
    std::print("{}", manual_page(command_tree(app)));
    exit_code = 0;
  });
}

}  // namespace flotilla
