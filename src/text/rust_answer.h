// What a call into rust/ gave back, freed at the end of its scope.
#pragma once

#include <string_view>

#include "flotilla_text.h"

namespace flotilla {

struct RustAnswer {
  RustAnswer() = default;
  explicit RustAnswer(FlotillaAnswer answer) : raw(answer) {}
  ~RustAnswer() { flotilla_answer_free(raw); }
  RustAnswer(const RustAnswer&) = delete;
  RustAnswer& operator=(const RustAnswer&) = delete;
  std::string_view text() const { return {raw.text, raw.bytes}; }

  FlotillaAnswer raw{};
};

}  // namespace flotilla
