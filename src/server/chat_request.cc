#include "server/chat_request.h"

#include <algorithm>
#include <array>
#include <format>
#include <span>
#include <utility>

#include "base/limits.h"

namespace flotilla {
namespace {

constexpr std::size_t prompt_end_tokens = 16;  // more than <think> and white space behind it take

// Parsed objects have lost the order of their fields. These names come first, as in the tools that models were trained
// with; the rest by the alphabet, so that the same tools are the same prompt.
Json in_order(const nlohmann::json& value) {
  constexpr std::array first{"type", "title", "description", "properties", "required", "items", "enum"};
  if (value.is_array()) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(in_order(item));
    return array;
  }
  if (!value.is_object()) return value;
  Json object = Json::object();
  auto& fields = object.get_ref<Json::object_t&>();
  for (const char* name : first) {
    if (const auto found = value.find(name); found != value.end()) fields.emplace_back(name, in_order(*found));
  }
  for (const auto& [name, item] : value.items()) {
    if (std::ranges::find(first, std::string_view(name)) == first.end()) fields.emplace_back(name, in_order(item));
  }
  return object;
}

// The template's side reads them again, field by field: what takes too long there is refused here.
constexpr std::size_t fields_max = 1024;  // of one object

bool has_too_many_fields(const nlohmann::json& value) {
  if (value.is_object() && value.size() > fields_max) return true;
  return value.is_structured() && std::ranges::any_of(value, has_too_many_fields);
}

bool begins_thinking(const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
  const auto last = tokens.subspan(tokens.size() - std::min(tokens.size(), prompt_end_tokens));
  std::string end;
  for (const auto token : last) end += tokenizer.piece(token, true);
  while (!end.empty() && std::string_view(" \t\r\n").contains(end.back())) end.pop_back();
  return end.ends_with(think_mark);
}

}  // namespace

void ToolList::add(const std::string& field, const std::string& name, const std::string& description,
                   const nlohmann::json* parameters) {
  if (name.empty() || name.size() > tool_name_bytes_max) {
    return fields_.wrong(field, Code::invalid_argument,
                         std::format("expected a tool's name of 1 to {} bytes in {} but got {}", tool_name_bytes_max,
                                     field, name.size()));
  }
  if (parameters != nullptr && has_too_many_fields(*parameters)) {
    return fields_.wrong(field, Code::too_large,
                         std::format("expected at most {} fields in each object of a tool's parameters", fields_max));
  }
  Json function{{"name", name}};
  if (!description.empty()) function["description"] = description;
  // Templates look into it without asking whether it is there.
  function["parameters"] = parameters != nullptr && parameters->is_object()
                               ? in_order(*parameters)
                               : Json{{"type", "object"}, {"properties", Json::object()}};
  tools_.push_back({{"type", "function"}, {"function", std::move(function)}});
  names_.push_back(name);
}

void ToolList::give_to(ChatRequest& chat) const {
  chat.conversation.tools = tools_.empty() ? std::string() : dump(tools_);
  chat.tool_names = names_;
}

ApiResult<std::vector<Prompt>> chat_prompts(const ChatRequest& chat, const OpenModel& model, const char* field) {
  const auto& format = model.chat_template->answer_format();
  const bool offers_tools = !chat.tool_names.empty();
  if (offers_tools && format.calls == CallFormat::none) {
    return api_fail(
        Code::unsupported, "tools",
        "[server] expected a model that knows tools but {}'s chat template has none, or writes calls in a way "
        "that is not supported by this version; leave tools out, or take another model",
        model.name);
  }
  auto tokens = model.chat_template->render(chat.conversation);
  if (!tokens) {
    auto error = ApiError::from(std::move(tokens).error());
    error.param = field;
    return std::unexpected(std::move(error));
  }
  AnswerReading reading{.calls = offers_tools ? format.calls : CallFormat::none,
                        .thinks = format.thinks,
                        .begun_thinking = format.thinks && begins_thinking(*model.tokenizer, *tokens),
                        .tools = chat.tool_names};
  std::vector<Prompt> prompts;
  prompts.push_back({.text = {}, .tokens = std::move(*tokens), .reading = std::move(reading)});
  return prompts;
}

}  // namespace flotilla
