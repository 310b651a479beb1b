#include "app/environment.h"

#include <algorithm>
#include <cstdlib>
#include <format>
#include <string_view>

namespace flotilla {
namespace {

// Null past the last one.
CLI::Validator* validator_of(CLI::Option& option, int index) {
  try {
    return option.get_validator(index);
  } catch (const CLI::OptionNotFound&) {
    return nullptr;
  }
}

// Where an option refuses `text`: why.
std::string refusal_of(CLI::Option& option, const std::string& text) {
  const char delimiter = option.get_delimiter();
  for (std::string part : CLI::detail::split(text, delimiter == '\0' ? '\n' : delimiter))
    for (int index = 0; CLI::Validator* validator = validator_of(option, index); ++index)
      if (std::string why = (*validator)(part); !why.empty()) return why;
  return "";
}

}  // namespace

std::string refused_variable(CLI::App& app, std::span<char*> words) {
  CLI::App* verb = &app;
  for (const char* word : words)
    for (CLI::App* below : verb->get_subcommands([](CLI::App*) { return true; }))
      if (below->get_name() == word) {
        verb = below;
        break;
      }
  for (CLI::Option* option : verb->get_options()) {
    const char* value = option->get_envname().empty() ? nullptr : std::getenv(option->get_envname().c_str());
    const bool is_given = std::ranges::any_of(option->get_lnames(), [&](const std::string& name) {
      return std::ranges::any_of(words,
                                 [&](const char* word) { return std::string_view(word).starts_with("--" + name); });
    });
    if (!value || *value == '\0' || is_given) continue;
    if (const std::string why = refusal_of(*option, value); !why.empty())
      return std::format("{}: {}", option->get_envname(), why);
  }
  return "";
}

}  // namespace flotilla
