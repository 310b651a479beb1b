// The model that the planner's tests place.
#pragma once

#include "base/units.h"
#include "model/shape.h"

namespace flotilla {

// Sixteen layers of 64 MiB and an output head of 128.
inline ModelShape model() {
  ModelShape shape;
  shape.name = "example";
  shape.context_length = 8192;
  shape.embedding_length = 2048;
  shape.vocabulary = 32000;
  shape.layers.assign(16,
                      {.weight_bytes = 64 * mib, .cache = {.bytes_per_token = 1024}, .matrices = {{"q4_K", 64 * mib}}});
  shape.embedding_bytes = shape.output_bytes = 128 * mib;
  shape.output_matrix = {"Q6_K", 128 * mib};
  shape.shards_max = 8;
  return shape;
}

}  // namespace flotilla
