// The flags of the verbs that say who belongs to a cluster, for CLI11: token, join, approve, revoke, leave. Thread:
// main.
#pragma once

#include <CLI/CLI.hpp>

namespace flotilla {

void add_token(CLI::App& app, int& exit_code);
void add_join(CLI::App& app, int& exit_code);
void add_approve(CLI::App& app, int& exit_code);
void add_revoke(CLI::App& app, int& exit_code);
void add_leave(CLI::App& app, int& exit_code);

}  // namespace flotilla
