#include "text/chat_context.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/limits.h"
#include "base/sha256.h"
#include "text/ordered_json.h"

namespace flotilla {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 5> known_roles = {"system", "developer", "user", "assistant", "tool"};
constexpr std::size_t short_id_letters = 9;

// The value with each of its texts made safe, names of fields too: a client chose them.
Json safe_json(const Json& value, const SafeText& safe) {
  if (value.is_string()) return safe(value.get_ref<const std::string&>());
  if (value.is_array()) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(safe_json(item, safe));
    return array;
  }
  if (!value.is_object()) return value;
  Json object = Json::object();
  auto& fields = object.get_ref<Json::object_t&>();
  for (const auto& [name, item] : value.items()) fields.emplace_back(safe(name), safe_json(item, safe));
  return object;
}

// Mistral's templates refuse ids that are not nine letters and digits; clients bring those of other servers along.
std::string short_id(const std::string& id) {
  const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (id.size() == short_id_letters && std::ranges::all_of(id, is_plain)) return id;
  constexpr std::string_view letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const Digest digest = sha256(std::as_bytes(std::span(id)));
  std::string made;
  for (std::size_t i = 0; i < short_id_letters; ++i)
    made += letters[std::to_integer<std::size_t>(digest[i]) % letters.size()];
  return made;
}

struct Writer {
  const AnswerFormat& format;
  ArgumentForm form;
  const SafeText& safe;

  std::string id(const std::string& id) const { return format.calls == CallFormat::mistral ? short_id(id) : safe(id); }

  Json arguments(const std::string& text) const {
    if (form == ArgumentForm::object) {
      if (const auto json = parse_ordered(text); json.is_object()) return safe_json(json, safe);
    }
    return safe(text);
  }

  Json calls(const std::vector<ToolCall>& calls) const {
    Json list = Json::array();
    for (const auto& call : calls) {
      Json function{{"name", safe(call.name)}, {"arguments", arguments(call.arguments)}};
      list.push_back({{"id", id(call.id)}, {"type", "function"}, {"function", std::move(function)}});
    }
    return list;
  }

  // One JSON object a line, after what was said.
  std::string with_calls(const ChatMessage& message) const {
    std::string text = safe(message.content);
    for (const auto& call : message.calls) {
      const Json function{{"name", safe(call.name)}, {"arguments", safe(call.arguments)}};
      text += (text.empty() ? "" : "\n") + function.dump();
    }
    return text;
  }

  Json message(const ChatMessage& message) const {
    const bool knows_calls = format.calls != CallFormat::none;
    Json entry = {{"role", message.role}, {"content", knows_calls ? safe(message.content) : with_calls(message)}};
    if (!message.name.empty()) entry["name"] = safe(message.name);
    if (!message.reasoning.empty()) entry["reasoning_content"] = safe(message.reasoning);
    if (!message.call_id.empty()) entry["tool_call_id"] = id(message.call_id);
    if (knows_calls && !message.calls.empty()) entry["tool_calls"] = calls(message.calls);
    return entry;
  }
};

}  // namespace

Json chat_context(const Conversation& conversation, const AnswerFormat& format, ArgumentForm form,
                  const SafeText& safe) {
  const Writer writer{format, form, safe};
  Json context;
  auto& messages = context["messages"] = Json::array();
  for (const ChatMessage& message : conversation.messages) messages.push_back(writer.message(message));
  context["add_generation_prompt"] = conversation.add_generation_prompt;
  const auto tools = Json::parse(conversation.tools, nullptr, false);  // ours, and bounded: any depth and order is kept
  context["tools"] = tools.is_array() && !tools.empty() ? safe_json(tools, safe) : Json(nullptr);
  context["documents"] = nullptr;
  if (conversation.thinks) {
    for (const char* name : {"enable_thinking", "thinking"}) context[name] = *conversation.thinks;
  }
  return context;
}

void for_each_text(const Conversation& conversation, const std::function<void(const std::string&)>& visit) {
  visit(conversation.tools);
  for (const ChatMessage& message : conversation.messages) {
    for (const auto* text : {&message.content, &message.name, &message.reasoning, &message.call_id}) visit(*text);
    for (const ToolCall& call : message.calls) {
      for (const auto* text : {&call.id, &call.name, &call.arguments}) visit(*text);
    }
  }
}

Status check_conversation(const Conversation& conversation) {
  const auto& messages = conversation.messages;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    // A role is part of the template's markup (some write "<|" ~ role ~ "|>"), so it is not free text.
    if (std::ranges::find(known_roles, messages[i].role) == known_roles.end()) {
      return fail(Code::invalid_argument,
                  "[text] expected a role of system, developer, user, assistant or tool but message {} has \"{}\"", i,
                  messages[i].role);
    }
  }
  std::size_t bytes = 0;
  for_each_text(conversation, [&](const std::string& text) { bytes += text.size(); });
  if (bytes > limits::template_output_bytes_max) {
    return fail(Code::context_length, "[text] expected at most {} bytes of messages and tools but got {}; shorten them",
                limits::template_output_bytes_max, bytes);
  }
  return {};
}

}  // namespace flotilla
