// Writes a graph's input.
#pragma once

#include <ggml-backend.h>

#include <ranges>
#include <span>

#include "base/check.h"

namespace flotilla {

template <std::ranges::contiguous_range Values>
void set_all(ggml_tensor* tensor, const Values& values) {
  const auto bytes = std::as_bytes(std::span(values));
  check(bytes.size() == ggml_nbytes(tensor), "an input has the size of its tensor");
  ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
}

}  // namespace flotilla
