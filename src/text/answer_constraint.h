// What an answer of a chat must be, as a grammar: perhaps thoughts, then calls of tools as the model's template writes
// them, or what may be said instead. For tool_choice "required" or the name of a tool, tools whose arguments must keep
// to their schema, and answers in a form of models that think or call first. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/constraint_source.h"
#include "text/answer_format.h"
#include "text/tokenizer.h"

namespace flotilla {

struct ToolSignature {
  std::string name;
  std::string parameters;  // a JSON schema of an object, in the order the client wrote it; empty: takes none
  bool strict = false;     // what of the schema cannot be kept to is refused; otherwise it is passed over
};

struct AnswerRules {
  std::vector<ToolSignature> tools;  // that may be called
  std::uint32_t calls_max = 1;       // at least one
  // What an answer may be that calls none, or, of text, also has calls in it.
  enum class Instead : std::uint8_t { nothing, text, json } instead = Instead::nothing;
  std::string schema;  // of json
  enum class Thoughts : std::uint8_t { none, may_come, begun } thoughts = Thoughts::none;
};

// With tools, `format` has a way to call them. A schema is refused, as any, by check_constraint.
ConstraintSource answer_constraint(const AnswerRules& rules, const AnswerFormat& format, const Tokenizer& tokenizer);

}  // namespace flotilla
