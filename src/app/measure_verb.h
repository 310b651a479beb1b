// `flotilla measure`: what the node asked measured of its machine, as a table or as JSON.
#pragma once

#include "app/verbs.h"

namespace flotilla {

int measure_node(const VerbOptions& options, bool again);  // the process's exit code

}  // namespace flotilla
