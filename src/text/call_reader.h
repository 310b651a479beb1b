// Reads the calls behind one mark of a call, as they come: complete and well formed, or not calls at all. A call is
// given out whole, because until its last bracket it may still turn out to be ordinary text. Pure.
//
// Thread: one. One for each mark.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/answer_format.h"
#include "text/answer_part.h"
#include "text/json_extent.h"

namespace flotilla {

class CallReader {
 public:
  // `mark_bytes`: 0 where the answer itself is the call. `tools`: where there is no mark, only calls of these are.
  CallReader(CallFormat format, std::size_t mark_bytes, const std::vector<std::string>& tools);

  enum class Outcome : std::uint8_t { not_yet, calls, no_call };
  // `text` begins with the mark, and each time with all that it held the time before.
  Outcome read(std::string_view text);
  std::size_t bytes() const { return bytes_; }  // of `text` that the outcome is about: at least one
  AnswerParts take_calls() { return std::move(calls_); }

 private:
  Outcome read_head(std::string_view text);
  Outcome read_value(std::string_view text);
  bool parse(std::string_view json);

  const CallFormat format_;
  const std::size_t mark_bytes_;
  const std::vector<std::string>& tools_;
  bool in_value_ = false;
  std::size_t value_begin_ = 0, bytes_ = 0;
  std::string name_;  // Mistral's newer form has it before the arguments
  JsonExtent extent_;
  AnswerParts calls_;
};

}  // namespace flotilla
