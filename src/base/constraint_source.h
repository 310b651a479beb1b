// What an answer is to keep to, as a client wrote it. It travels with its request; text/constraint.h makes of it which
// tokens may come next.
#pragma once

#include <cstdint>
#include <string>

namespace flotilla {

enum class ConstraintKind : std::uint8_t {
  none = 0,
  json_object = 1,  // any JSON object; `text` is empty
  json_schema = 2,  // a JSON value that the schema accepts
  regex = 3,        // a text that matches as a whole
  lark = 4,         // a text of the grammar's `start`
};

struct ConstraintSource {
  ConstraintKind kind = ConstraintKind::none;
  std::string text;
  bool operator==(const ConstraintSource&) const = default;
  bool any() const { return kind != ConstraintKind::none; }
};

}  // namespace flotilla
