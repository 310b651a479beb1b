// `flotilla serve`: runs a node until it is asked to stop, and shows the pooled table whenever the fleet changes.
#pragma once

#include "app/node.h"

namespace flotilla {

struct ServeOptions {
  NodeOptions node;
  bool json_log = false;
};

int serve(const ServeOptions& options);  // the process's exit code

}  // namespace flotilla
