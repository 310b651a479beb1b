// What an answer must be that calls a tool: for tool_choice "required", or the name of one. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/constraint_source.h"

namespace flotilla {

struct ToolSignature {
  std::string name;
  std::string parameters;  // a JSON schema of an object, in the order the client wrote it; empty: takes none
};

// How a family of models writes a call:  begin {name_key: NAME, arguments_key: ARGUMENTS} end, and more of them.
struct ToolCallFormat {
  std::string begin, end;  // around each call; may be empty
  std::string name_key = "name", arguments_key = "arguments";
  std::string separator;        // between two calls
  std::uint32_t calls_max = 1;  // at least one
};

// Exactly one to calls_max calls of these tools and nothing else. A tool's own schema is refused, as any, by
// check_constraint. At least one tool.
ConstraintSource tool_call_constraint(std::span<const ToolSignature> tools, const ToolCallFormat& format);

}  // namespace flotilla
