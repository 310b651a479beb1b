// The command line as data: every verb and flag as CLI11 has it, for what is made from it (completion.h, manual.h), so
// that nothing of it can be stale. What is hidden from people is left out. Pure.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace flotilla {

struct CommandFlag {
  std::string name;                   // "--home", "-h,--help" as "--help"; of a positional "MODEL"
  std::string help, variable, usual;  // usual: its value where nothing is said; empty where the help says it
  std::vector<std::string> choices;   // the only values it takes; empty: others
  bool is_positional = false, is_required = false, takes_value = false;
};

struct CommandVerb {
  std::string path;  // "serve", "key create"; empty: the program itself
  std::string help, footer;
  std::vector<CommandFlag> flags;  // positionals too, in their order
  std::vector<std::string> below;  // verbs of its own: "create"
};

// The program first, then its verbs in their order, each before those below it.
std::vector<CommandVerb> command_tree(const CLI::App& app);

}  // namespace flotilla
