// Shell completions, made from the command line itself: `flotilla completion bash`. Pure.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "app/command_tree.h"

namespace flotilla {

inline constexpr std::array<const char*, 3> completion_shells{"bash", "zsh", "fish"};

// A script that the shell reads (docs/operating.md says where to put it). Values of flags are completed where they are
// known, as files else; models by what `flotilla list` has.
std::string completion_script(std::string_view shell, const std::vector<CommandVerb>& verbs);

// `flotilla completion SHELL`, and `flotilla man` below it, which packagers call.
void add_completion(CLI::App& app, int& exit_code);

}  // namespace flotilla
