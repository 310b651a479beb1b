// The key that a command sends with its requests.
#pragma once

#include <string>

#include "app/verbs.h"

namespace flotilla {

// --key or FLOTILLA_KEY, else the key of this machine's own node where it is that node which is asked; empty: none.
// A node writes its key when it starts, so one that is asked only then has another.
std::string client_key(const VerbOptions& options);

}  // namespace flotilla
