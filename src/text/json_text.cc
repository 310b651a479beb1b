#include "text/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace flotilla {
namespace {

constexpr std::string_view white_space = " \t\r\n";

std::size_t skip_space(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(white_space, at), text.size());
}

// Behind the string that begins at `at`.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return std::min(at + 1, text.size());
}

std::size_t value_end(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  if (text[at] == '"') return string_end(text, at);
  if (text[at] != '{' && text[at] != '[') return std::min(text.find_first_of(",]} \t\r\n", at), text.size());
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) break;
  }
  return at;
}

bool is_name(std::string_view quoted, std::string_view name) {
  if (!quoted.contains('\\')) return quoted.size() == name.size() + 2 && quoted.substr(1, name.size()) == name;
  const auto read = nlohmann::json::parse(quoted, nullptr, /*allow_exceptions=*/false);
  return read.is_string() && read.get_ref<const std::string&>() == name;
}

// Goes through what stands between the brackets; `visit` gets each value, with its quoted name in an object.
template <class Visit>
void for_each_value(std::string_view text, const Visit& visit) {
  const bool is_object = text.starts_with('{');
  for (auto at = skip_space(text, 1); at + 1 < text.size();) {
    std::string_view name;
    if (is_object) {
      const auto end = string_end(text, at);
      name = text.substr(at, end - at);
      at = skip_space(text, std::min(text.find(':', end), text.size() - 1) + 1);
    }
    const auto end = value_end(text, at);
    visit(name, text.substr(at, end - at));
    at = skip_space(text, std::min(text.find_first_of(",]}", end), text.size() - 1) + 1);
  }
}

// What stands outside strings, byte by byte, and strings as a whole.
template <class Visit>
void for_each_mark(std::string_view text, const Visit& visit) {
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text[at] == '"' ? string_end(text, at) : at + 1;
    visit(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace

JsonText::JsonText(std::string_view text) {
  const auto begin = skip_space(text, 0);
  text_ = text.substr(begin, value_end(text, begin) - begin);
}

std::optional<JsonText> JsonText::at(std::initializer_list<std::string_view> names) const {
  std::optional<JsonText> found = *this;
  for (const auto name : names)
    if (found) found = found->member(name);
  return found;
}

std::optional<JsonText> JsonText::member(std::string_view name) const {
  std::optional<JsonText> found;
  if (!is_object()) return found;
  for_each_value(text_, [&](std::string_view quoted, std::string_view value) {
    if (is_name(quoted, name)) found = JsonText(value);
  });
  return found;
}

std::vector<JsonText> JsonText::items() const {
  std::vector<JsonText> items;
  if (!text_.starts_with('[')) return items;
  for_each_value(text_, [&](std::string_view, std::string_view value) { items.emplace_back(value); });
  return items;
}

bool JsonText::is_empty() const { return skip_space(text_, 1) + 1 == text_.size(); }

std::size_t JsonText::commas() const {
  std::size_t count = 0;
  for_each_mark(text_, [&](std::string_view mark) { count += mark == "," ? 1 : 0; });
  return count;
}

std::string JsonText::without_space() const {
  std::string text;
  for_each_mark(text_, [&](std::string_view mark) {
    if (!white_space.contains(mark.front())) text += mark;
  });
  return text;
}

}  // namespace flotilla
