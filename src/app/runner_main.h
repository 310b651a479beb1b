// The runner process: its node's link is an inherited descriptor; everything else comes over it (pipeline/runner.h).
#pragma once

#include "pipeline/runner.h"

namespace flotilla {

struct RunnerMainOptions {
  int fd = -1;
  RunnerOptions runner;
};

int runner_main(const RunnerMainOptions& options);  // the process's exit code

}  // namespace flotilla
