#include "text/call_reader.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>

#include "text/ordered_json.h"

namespace flotilla {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t name_bytes_max = 512;  // with its marks and its id

bool is_name_byte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == ':';
}

// What stands before Mistral's arguments: a name, perhaps "[CALL_ID]" and an id, perhaps "[ARGS]", then '{'.
struct Head {
  enum class State : std::uint8_t { not_yet, value, none } state = State::none;
  std::string_view name = {};
  std::size_t bytes = 0;  // before the value
};

std::string_view take_name(std::string_view& text) {
  const auto name =
      text.substr(0, static_cast<std::size_t>(std::ranges::find_if_not(text, is_name_byte) - text.begin()));
  text.remove_prefix(name.size());
  return name;
}

void skip_space(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

bool skip(std::string_view& text, std::string_view mark) {
  if (!text.starts_with(mark)) return false;
  text.remove_prefix(mark.size());
  return true;
}

Head read_named(std::string_view text) {
  constexpr std::string_view id_mark = "[CALL_ID]", arguments_mark = "[ARGS]";
  auto rest = text;
  const auto name = take_name(rest);
  skip_space(rest);
  if (skip(rest, id_mark)) take_name(rest);
  skip(rest, arguments_mark);
  skip_space(rest);
  if (name.empty() || text.size() - rest.size() > name_bytes_max) return {};
  if (rest.starts_with('{')) return {.state = Head::State::value, .name = name, .bytes = text.size() - rest.size()};
  const bool may_come = id_mark.starts_with(rest) || arguments_mark.starts_with(rest);  // also where nothing is left
  return {.state = may_come ? Head::State::not_yet : Head::State::none};
}

// Arguments are an object; some models write it as a string, or leave it out where a tool takes none.
std::optional<std::string> arguments_of(const Json& call) {
  for (const char* field : {"arguments", "parameters"}) {
    const auto found = call.find(field);
    if (found == call.end() || found->is_null()) continue;
    if (found->is_object()) return found->dump(-1, ' ', false, Json::error_handler_t::replace);
    if (!found->is_string()) return std::nullopt;
    const auto inner = parse_ordered(found->get_ref<const std::string&>());
    if (!inner.is_object()) return std::nullopt;
    return inner.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  return "{}";
}

std::optional<AnswerPart> call_of(const Json& value) {
  if (!value.is_object()) return std::nullopt;
  const auto wrapped = value.find("function");  // as in OpenAI's own form
  const Json& call = wrapped != value.end() && wrapped->is_object() ? *wrapped : value;
  const auto name = call.find("name");
  if (name == call.end() || !name->is_string() || name->get_ref<const std::string&>().empty()) return std::nullopt;
  auto arguments = arguments_of(call);
  if (!arguments) return std::nullopt;
  return AnswerPart{.kind = AnswerPart::Kind::call, .text = *std::move(arguments), .name = name->get<std::string>()};
}

}  // namespace

CallReader::CallReader(CallFormat format, std::size_t mark_bytes, const std::vector<std::string>& tools)
    : format_(format), mark_bytes_(mark_bytes), tools_(tools) {}

CallReader::Outcome CallReader::read(std::string_view text) {
  if (!in_value_) {
    if (const auto outcome = read_head(text); outcome != Outcome::calls) return outcome;
  }
  return read_value(text);
}

// What stands between the mark and the JSON; calls: the JSON has begun.
CallReader::Outcome CallReader::read_head(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n", mark_bytes_);
  if (begin == std::string_view::npos) return Outcome::not_yet;
  value_begin_ = begin;
  if (text[begin] != '{' && text[begin] != '[') {
    const auto head = format_ == CallFormat::mistral ? read_named(text.substr(begin)) : Head{};
    if (head.state == Head::State::not_yet) return Outcome::not_yet;
    if (head.state == Head::State::none) {
      bytes_ = std::max<std::size_t>(mark_bytes_, 1);
      return Outcome::no_call;
    }
    name_ = head.name;
    value_begin_ += head.bytes;
  }
  in_value_ = true;
  return Outcome::calls;
}

CallReader::Outcome CallReader::read_value(std::string_view text) {
  const auto value = text.substr(value_begin_);
  const auto found = extent_.read(value);
  if (found == JsonExtent::Found::not_yet) return Outcome::not_yet;
  bytes_ = value_begin_ + extent_.bytes();
  const bool good = found == JsonExtent::Found::end && parse(value.substr(0, extent_.bytes()));
  return good ? Outcome::calls : Outcome::no_call;
}

bool CallReader::parse(std::string_view text) {
  const auto json = parse_ordered(text);
  if (json.is_discarded()) return false;
  if (!name_.empty()) {
    if (!json.is_object()) return false;
    calls_.push_back({.kind = AnswerPart::Kind::call, .text = json.dump(), .name = name_});
    return true;
  }
  const auto add = [&](const Json& value) {
    auto call = call_of(value);
    const bool known = mark_bytes_ > 0 || (call && std::ranges::find(tools_, call->name) != tools_.end());
    if (!call || !known) return false;
    calls_.push_back(*std::move(call));
    return true;
  };
  if (!json.is_array()) return add(json);
  return !json.empty() && std::ranges::all_of(json, add);
}

}  // namespace flotilla
