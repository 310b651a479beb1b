// The device a stage computes on, and the questions its weights ask of it.
// Thread: that of the stage. Everything here is a thin face on ggml's device registry: the CPU's functions live in a
// library that is loaded at run time, so none of them can be linked by name.
#pragma once

#include <ggml-cpp.h>

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace flotilla {

// Where ggml's device libraries are looked for; empty where they are linked in.
const char* backend_folder();

class ComputeBackend {
 public:
  // The CPU with `threads` threads. unsupported where start_engine() has not brought it up.
  static Result<ComputeBackend> open(std::uint32_t threads);

  // no_memory or internal where the device refuses; blocks until done.
  Status compute(ggml_cgraph* graph) const;

  ggml_backend_dev_t device() const { return device_; }
  ggml_backend_buffer_type_t plain() const { return plain_; }

  // Where a matrix [columns, rows] of `type` is multiplied fastest: a buffer type that rearranges it on upload, or
  // plain(). A rearranged matrix serves nothing but multiplication: no rows are read out of it.
  ggml_backend_buffer_type_t best_for_matrix(ggml_type type, std::int64_t columns, std::int64_t rows) const;

 private:
  ggml_backend_ptr handle_;
  ggml_backend_dev_t device_ = nullptr;
  ggml_backend_buffer_type_t plain_ = nullptr;
  std::vector<ggml_backend_buffer_type_t> repacking_;  // in the device's order of preference
};

}  // namespace flotilla
