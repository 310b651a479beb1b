#include "server/openai_messages.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/limits.h"
#include "server/generation_order.h"

namespace flotilla {
namespace {

// Parts of text are joined; any other kind is refused by name.
std::optional<std::string> read_parts(JsonFields& message, const nlohmann::json& parts) {
  std::string text;
  for (const auto& part : parts) {
    const auto type = part.is_object() ? part.value("type", nlohmann::json()) : nlohmann::json();
    const auto* field = type == "text" || type == "input_text" ? "text" : type == "refusal" ? "refusal" : nullptr;
    if (field == nullptr) {
      if (type.is_string() && type.get_ref<const std::string&>().size() < 64) {
        message.wrong("content", Code::unsupported,
                      std::format("expected parts of type \"text\" but got \"{}\", which this version does not read",
                                  type.get_ref<const std::string&>()));
      } else {
        message.expected("content", "a string or an array of {\"type\": \"text\", \"text\": …}", part);
      }
      return std::nullopt;
    }
    const auto found = part.find(field);
    if (found == part.end() || !found->is_string()) {
      message.wrong("content", Code::invalid_argument,
                    std::format("expected each part of content to have a string \"{}\"", field));
      return std::nullopt;
    }
    text += found->get_ref<const std::string&>();
  }
  return text;
}

std::optional<std::string> read_content(JsonFields& message, bool may_be_absent) {
  const auto* content = message.find("content");
  if (content == nullptr) {
    if (!may_be_absent) {
      message.wrong("content", Code::invalid_argument,
                    "expected each message but an assistant's to have content, a string or parts");
    }
    return std::string();
  }
  if (content->is_string()) return content->get<std::string>();
  if (content->is_array()) return read_parts(message, *content);
  message.expected("content", "a string or an array of parts", *content);
  return std::nullopt;
}

std::optional<std::string> template_role(const std::string& role) {
  if (role == "system" || role == "developer") return "system";
  if (role == "user" || role == "assistant") return role;
  if (role == "tool" || role == "function") return "tool";
  return std::nullopt;
}

// Text, or the JSON itself; in the end it is text, an object where it is sound.
std::string read_arguments(JsonFields& function) {
  const auto* arguments = function.find("arguments");
  if (arguments == nullptr) return "{}";
  if (arguments->is_string()) {
    const auto& text = arguments->get_ref<const std::string&>();
    return text.empty() ? "{}" : text;
  }
  if (arguments->is_object()) return dump(*arguments);
  function.expected("arguments", "an object, or its JSON as text", *arguments);
  return {};
}

ToolCall read_function(JsonFields& function, std::string id) {
  ToolCall call{.id = std::move(id), .name = function.text("name").value_or(""), .arguments = read_arguments(function)};
  if (call.name.empty())
    function.wrong("name", Code::invalid_argument, "expected each tool call to have its function's name");
  return call;
}

constexpr std::size_t role_shown_bytes = 32;  // of a role that a client made up, at whatever length

ChatMessage read_message(JsonFields& message) {
  ChatMessage read;
  const auto role = message.text("role");
  if (const auto known = role ? template_role(*role) : std::nullopt) {
    read.role = *known;
  } else {
    message.wrong(
        "role", Code::invalid_argument,
        std::format("expected the role in messages to be system, developer, user, assistant or tool but got {}",
                    role ? "'" + role->substr(0, role_shown_bytes) + "'" : "none"));
  }
  read.content = read_content(message, read.role == "assistant").value_or("");
  read.name = message.text("name").value_or("");
  refuse_field(message, "images");  // where Ollama has them
  if (read.role == "tool") {
    read.call_id = message.text("tool_call_id").value_or("");
    if (read.name.empty()) read.name = message.text("tool_name").value_or("");  // Ollama's
  }
  if (read.role != "assistant") return read;
  for (const char* field : {"reasoning_content", "reasoning", "thinking"}) {
    if (const auto* thoughts = message.find(field);
        thoughts != nullptr && thoughts->is_string() && read.reasoning.empty())
      read.reasoning = thoughts->get<std::string>();
  }
  read.calls = read_calls(message);
  return read;
}

// A tool's answer says only which call it answers; templates want the tool's name.
void name_answers(std::vector<ChatMessage>& messages) {
  const std::vector<ToolCall>* calls = nullptr;
  for (auto& message : messages) {
    if (message.role == "assistant") calls = &message.calls;
    if (message.role != "tool" || calls == nullptr || !message.name.empty()) continue;
    const auto call = std::ranges::find(*calls, message.call_id, &ToolCall::id);
    if (call != calls->end()) message.name = call->name;
  }
}

void add_tool(JsonFields& tool, std::size_t place, ToolList& list) {
  const auto type = tool.text("type");
  if (type && *type != "function") {
    return tool.wrong("type", Code::unsupported,
                      "expected a tool of type \"function\", the only one that is supported by this version");
  }
  const auto* function = tool.object("function");
  if (function == nullptr) {
    return tool.wrong("function", Code::invalid_argument,
                      "expected each tool to be {\"type\": \"function\", \"function\": {\"name\": …}}");
  }
  JsonFields inner(*function, tool.name_of("function."));
  OfferedTool offered{.name = inner.text("name").value_or(""),
                      .description = inner.text("description").value_or(""),
                      .parameters = {},
                      .strict = inner.boolean("strict").value_or(false),
                      .place = place};
  const auto* parameters = inner.object("parameters");
  if (inner.fault()) return tool.adopt(*inner.fault());
  list.add(tool.name_of("function.name"), std::move(offered), parameters);
}

// The name in {"type": "function", "function": {"name": …}}, or in {"type": "function", "name": …}.
std::string name_in_choice(const nlohmann::json& choice) {
  if (!choice.is_object() || choice.value("type", nlohmann::json("function")) != "function") return {};
  const auto function = choice.find("function");
  const auto& named = function != choice.end() && function->is_object() ? *function : choice;
  const auto name = named.find("name");
  return name != named.end() && name->is_string() ? name->get<std::string>() : std::string();
}

constexpr auto known_choices =
    "\"auto\", \"none\", \"required\", {\"type\": \"function\", …} with a tool's name or allowed_tools";

// Those it does not know of (tools of OpenAI's servers) are passed over, as they are in "tools".
ToolChoice read_allowed(JsonFields& fields, const nlohmann::json& choice) {
  ToolChoice read;
  const auto inside = choice.find("allowed_tools");
  JsonFields allowed(inside != choice.end() ? *inside : choice, fields.name_of("tool_choice."));
  const auto* tools = allowed.array("tools", tools_max);
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i)
    if (auto name = name_in_choice((*tools)[i]); !name.empty()) read.only.push_back(std::move(name));
  const auto mode = allowed.text("mode").value_or("auto");
  if (allowed.fault()) return fields.adopt(*allowed.fault()), read;
  if (mode == "required") read.kind = ToolChoice::Kind::must_call;
  if (read.only.empty() || (mode != "auto" && mode != "required"))
    fields.wrong("tool_choice", Code::invalid_argument,
                 "expected allowed_tools to have a mode, auto or required, and functions' names in tools");
  return read;
}

}  // namespace

std::vector<ToolCall> read_calls(JsonFields& message) {
  std::vector<ToolCall> calls;
  if (const auto* array = message.array("tool_calls", tools_max)) {
    for (std::size_t i = 0; i < array->size(); ++i) {
      JsonFields call((*array)[i], message.name_of(std::format("tool_calls[{}].", i)));
      const auto id = call.text("id").value_or("");
      if (const auto* function = call.object("function")) {
        JsonFields inner(*function, call.name_of("function."));
        calls.push_back(read_function(inner, id));
        if (inner.fault()) call.adopt(*inner.fault());
      } else {
        call.wrong("function", Code::invalid_argument, "expected each tool call to have a function");
      }
      if (call.fault()) return message.adopt(*call.fault()), calls;
    }
  }
  if (const auto* function = message.object("function_call")) {  // OpenAI's form before tools
    JsonFields inner(*function, message.name_of("function_call."));
    calls.push_back(read_function(inner, {}));
    if (inner.fault()) message.adopt(*inner.fault());
  }
  return calls;
}

std::vector<ChatMessage> read_messages(JsonFields& fields) {
  std::vector<ChatMessage> messages;
  const auto* array = fields.array("messages", limits::messages_max);
  if (array == nullptr || array->empty()) {
    fields.wrong("messages", Code::invalid_argument, "expected messages to be an array of at least one message");
    return messages;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    JsonFields message((*array)[i], std::format("messages[{}].", i));
    messages.push_back(read_message(message));
    if (const auto& fault = message.fault()) {
      fields.adopt(*fault);
      break;
    }
  }
  name_answers(messages);
  return messages;
}

void read_tools(JsonFields& fields, ChatRequest& chat) {
  ToolList list(fields);
  if (const auto* tools = fields.array("tools", tools_max)) {
    for (std::size_t i = 0; i < tools->size(); ++i) {
      JsonFields tool((*tools)[i], std::format("tools[{}].", i));
      if (!tool.fault()) add_tool(tool, i, list);
      if (tool.fault()) return fields.adopt(*tool.fault());
    }
  }
  const auto* older = fields.find("function_call");  // as it was called before tools
  if (older != nullptr && *older != "none" && *older != "auto")
    refuse_field(fields, "function_call", "use tools, and leave the field out");
  list.give_to(chat, read_tool_choice(fields));
}

ToolChoice read_tool_choice(JsonFields& fields) {
  using Kind = ToolChoice::Kind;
  const auto* choice = fields.find("tool_choice");
  if (choice == nullptr || *choice == "auto") return {};
  if (*choice == "none") return {.kind = Kind::none};
  if (*choice == "required") return {.kind = Kind::must_call};
  if (choice->is_object() && choice->value("type", nlohmann::json()) == "allowed_tools")
    return read_allowed(fields, *choice);
  if (auto name = name_in_choice(*choice); !name.empty()) return {.kind = Kind::must_call, .only = {std::move(name)}};
  if (choice->is_object())
    fields.wrong("tool_choice", Code::unsupported, std::format("expected tool_choice to be {}", known_choices));
  fields.expected("tool_choice", known_choices, *choice);
  return {};
}

std::optional<bool> read_thinks(JsonFields& fields) {
  std::optional<bool> thinks;
  if (const auto effort = fields.text("reasoning_effort"); effort && *effort == "none") thinks = false;
  const auto* switches = fields.object("chat_template_kwargs");
  if (switches == nullptr) return thinks;
  JsonFields inner(*switches, "chat_template_kwargs.");
  for (const auto& [name, value] : switches->items()) {
    if (name == "enable_thinking" || name == "thinking") {
      if (const auto wish = inner.boolean(name)) thinks = wish;
    } else {
      inner.wrong(name.size() <= tool_name_bytes_max ? name : "", Code::unsupported,
                  "expected only enable_thinking in chat_template_kwargs; others are not supported by this version");
    }
  }
  if (inner.fault()) fields.adopt(*inner.fault());
  return thinks;
}

}  // namespace flotilla
