// The flags of those verbs that write a log, for CLI11. Thread: main.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace flotilla {

struct LogFlags {
  std::string level = "warning", format = "auto";
};

void add_log_flags(CLI::App& verb, LogFlags& flags);
void start_log_from(const LogFlags& flags, const std::string& name);  // `name`: who speaks

}  // namespace flotilla
