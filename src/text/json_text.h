// JSON as its writer wrote it: parts of it are found where they stand, in their order, without parsing it again. Only
// of text that a parser has found good. Pure.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flotilla {

class JsonText {
 public:
  explicit JsonText(std::string_view text);  // one value, perhaps with white space around it

  std::string_view text() const { return text_; }
  // Of an object within an object …; the last of several with one name, as parsers take it. None where there is none.
  std::optional<JsonText> at(std::initializer_list<std::string_view> names) const;
  std::vector<JsonText> items() const;  // of an array; empty for anything else
  bool is_object() const { return text_.starts_with('{'); }
  bool is_empty() const;              // of an object or an array: it has nothing in it
  std::size_t commas() const;         // between values at any depth
  std::string without_space() const;  // between values

 private:
  std::optional<JsonText> member(std::string_view name) const;

  std::string_view text_;
};

}  // namespace flotilla
