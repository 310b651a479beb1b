// `flotilla serve`: runs a node until it is asked to stop, and shows the pooled table whenever the fleet changes.
#pragma once

#include "app/node.h"

namespace flotilla {

struct ServeOptions {
  NodeOptions node;
  int leave_with_fd = -1;  // the node leaves when this pipe or socket ends; -1: none
};

int serve(const ServeOptions& options);  // the process's exit code

}  // namespace flotilla
