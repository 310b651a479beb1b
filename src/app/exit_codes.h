// How a command's process ends. 2 is for what was typed wrong (usage_error.h).
#pragma once

#include <signal.h>

namespace flotilla {

constexpr int exit_ok = 0, exit_failed = 1, exit_unreachable = 3;
constexpr int exit_interrupted = 128 + SIGINT;  // what shells give for a command that Ctrl-C ended

}  // namespace flotilla
