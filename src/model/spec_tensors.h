// Decides which tensors a model must have, given its spec, and holds the file to it.
#pragma once

#include "base/result.h"
#include "model/gguf.h"
#include "model/spec.h"

namespace flotilla {

// corrupt for a tensor that is missing or has another shape; unsupported for a type the graphs cannot multiply with and
// for a tensor the graphs know nothing of (it would change the result).
Status check_tensors(const Gguf& gguf, const ModelSpec& model);

}  // namespace flotilla
