#include "server/response_request.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/limits.h"
#include "server/openai_messages.h"
#include "server/response_format.h"

namespace flotilla {
namespace {

constexpr std::size_t items_max = 4096;       // of an input; also parts of one item
constexpr std::size_t type_shown_bytes = 64;  // of a type that a client made up

void unsupported_type(JsonFields& fields, std::string_view type) {
  fields.wrong("type", Code::unsupported,
               std::format("items and parts of type \"{}\" are not supported by this version",
                           type.substr(0, type_shown_bytes)));
}

// Text, or parts that hold some: input_text, output_text, reasoning_text, summary_text, refusal.
std::string read_texts(JsonFields& item, const char* name) {
  const auto* value = item.find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  std::string text;
  const auto* parts = item.array(name, items_max);
  for (std::size_t i = 0; parts != nullptr && i < parts->size(); ++i) {
    JsonFields part((*parts)[i], item.name_of(std::format("{}[{}].", name, i)));
    const auto type = part.text("type").value_or("");
    if (type == "refusal") {
      text += part.text("refusal").value_or("");
    } else if (type.ends_with("text")) {
      text += part.text("text").value_or("");
    } else if (!part.fault()) {
      unsupported_type(part, type);
    }
    if (part.fault()) item.adopt(*part.fault());
  }
  return text;
}

// An answer's items are one message of the assistant's: what it thought, said and called.
ChatMessage& assistant(std::vector<ChatMessage>& messages) {
  if (messages.empty() || messages.back().role != "assistant")
    messages.push_back({.role = "assistant", .content = {}, .name = {}});
  return messages.back();
}

void read_message_item(JsonFields& item, std::vector<ChatMessage>& messages) {
  auto role = item.text("role").value_or("");
  auto content = read_texts(item, "content");
  if (role == "assistant") {
    assistant(messages).content += content;
    return;
  }
  if (role == "developer") role = "system";
  if (role != "user" && role != "system") {
    return item.wrong("role", Code::invalid_argument, "expected the role to be user, assistant, system or developer");
  }
  messages.push_back({.role = std::move(role), .content = std::move(content), .name = {}});
}

void read_output_item(JsonFields& item, std::vector<ChatMessage>& messages) {
  ChatMessage output{.role = "tool", .content = read_texts(item, "output"), .name = {}};
  output.call_id = item.text("call_id").value_or("");
  for (const auto& message : messages) {
    const auto call = std::ranges::find(message.calls, output.call_id, &ToolCall::id);
    if (call != message.calls.end()) output.name = call->name;
  }
  messages.push_back(std::move(output));
}

void read_item(JsonFields& item, std::vector<ChatMessage>& messages) {
  const auto type = item.text("type").value_or("message");
  if (type == "message") return read_message_item(item, messages);
  if (type == "function_call_output") return read_output_item(item, messages);
  if (type == "reasoning") {
    auto thought = read_texts(item, "content");
    if (thought.empty()) thought = read_texts(item, "summary");
    assistant(messages).reasoning += thought;
  } else if (type == "function_call") {
    ToolCall call{.id = item.text("call_id").value_or(""),
                  .name = item.text("name").value_or(""),
                  .arguments = item.text("arguments").value_or("{}")};
    if (call.name.empty()) item.wrong("name", Code::invalid_argument, "expected each call to have its function's name");
    assistant(messages).calls.push_back(std::move(call));
  } else if (!item.fault()) {
    unsupported_type(item, type);
  }
}

void read_input(JsonFields& fields, std::vector<ChatMessage>& messages) {
  const auto* input = fields.find("input");
  if (input != nullptr && input->is_string()) {
    messages.push_back({.role = "user", .content = input->get<std::string>(), .name = {}});
    return;
  }
  const auto* items = fields.array("input", items_max);
  if (items == nullptr || items->empty())
    return fields.wrong("input", Code::invalid_argument, "expected input to be text or an array of at least one item");
  for (std::size_t i = 0; i < items->size(); ++i) {
    JsonFields item((*items)[i], std::format("input[{}].", i));
    if (!item.fault()) read_item(item, messages);
    if (item.fault()) return fields.adopt(*item.fault());
  }
}

// Of what came, only what was read: answers say it three times, and the rest of it has no bound.
Json echo_of(const nlohmann::json& tool) {
  Json echo = Json::object();
  for (const char* name : {"type", "name", "description", "parameters", "strict"})
    if (const auto field = tool.find(name); field != tool.end()) echo[name] = Json(*field);
  return echo;
}

Json echo_of(const nlohmann::json* given, const ToolChoice& choice) {
  if (given == nullptr) return "auto";
  if (given->is_string()) return Json(*given);
  const auto named = [](const std::string& name) { return Json{{"type", "function"}, {"name", name}}; };
  if (given->value("type", nlohmann::json()) != "allowed_tools") return named(choice.only.front());
  Json tools = Json::array();
  for (const auto& name : choice.only) tools.push_back(named(name));
  const bool must_call = choice.kind == ToolChoice::Kind::must_call;
  return {{"type", "allowed_tools"}, {"mode", must_call ? "required" : "auto"}, {"tools", std::move(tools)}};
}

void read_response_tools(JsonFields& fields, ResponseRequest& request) {
  ToolList list(fields);
  Json taken = Json::array();
  const auto* tools = fields.array("tools", tools_max);
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    JsonFields tool((*tools)[i], std::format("tools[{}].", i));
    if (tool.text("type") == "function") {
      OfferedTool offered{.name = tool.text("name").value_or(""),
                          .description = tool.text("description").value_or(""),
                          .parameters = {},
                          .strict = tool.boolean("strict").value_or(false),
                          .place = i};
      const auto* parameters = tool.object("parameters");
      if (!tool.fault()) list.add(tool.name_of("name"), std::move(offered), parameters);
      if (fields.fault()) return;
      taken.push_back(echo_of((*tools)[i]));
    }
    if (tool.fault()) return fields.adopt(*tool.fault());
  }
  request.echo["tools"] = std::move(taken);
  const auto choice = read_tool_choice(fields);
  list.give_to(request.chat, choice);
  if (!fields.fault()) request.echo["tool_choice"] = echo_of(fields.find("tool_choice"), choice);
}

Json echo_of(const nlohmann::json& format, const ConstraintSource& constraint) {
  Json echo{{"type", Json(format["type"])}};
  if (constraint.kind != ConstraintKind::json_schema) return echo;
  if (const auto name = JsonFields(format).text("name"); name && name->size() <= schema_name_bytes_max)
    echo["name"] = *name;
  echo["schema"] = Json(format["schema"]);
  return echo;
}

void read_text_format(JsonFields& fields, ResponseRequest& request) {
  request.echo["text"] = {{"format", {{"type", "text"}}}};
  const auto* text = fields.object("text");
  if (text == nullptr) return;
  JsonFields inner(*text, "text.");
  if (const auto* format = inner.object("format")) {
    read_format(inner, "format", *format, request.order);
    if (!inner.fault()) request.echo["text"]["format"] = echo_of(*format, request.order.constraint);
  }
  if (inner.fault()) fields.adopt(*inner.fault());
}

std::optional<bool> read_effort(JsonFields& fields) {
  const auto* reasoning = fields.object("reasoning");
  if (reasoning == nullptr) return std::nullopt;
  JsonFields inner(*reasoning, "reasoning.");
  const auto effort = inner.text("effort");
  if (inner.fault()) fields.adopt(*inner.fault());
  return effort == "none" ? std::optional(false) : std::nullopt;
}

}  // namespace

ResponseRequest read_response_request(JsonFields& fields) {
  ResponseRequest request;
  auto& order = request.order;
  order.model = read_model(fields, "GET /v1/models lists them");
  order.stream = fields.boolean("stream").value_or(false);
  order.sampling = read_sampling(fields);
  if (const auto most = fields.integer("max_output_tokens", 1, limits::context_tokens_max))
    order.tokens_max = static_cast<std::uint32_t>(*most);
  order.parallel_calls = fields.boolean("parallel_tool_calls").value_or(true);
  request.instructions = fields.text("instructions").value_or("");
  request.previous = fields.text("previous_response_id").value_or("");
  request.store = fields.boolean("store").value_or(true);
  read_input(fields, request.chat.conversation.messages);
  request.chat.conversation.thinks = read_effort(fields);
  read_response_tools(fields, request);
  read_text_format(fields, request);
  for (const char* name : {"background", "conversation", "prompt", "max_tool_calls"}) refuse_field(fields, name);
  refuse_unsupported(fields);
  request.echo["instructions"] = request.instructions.empty() ? Json(nullptr) : Json(request.instructions);
  request.echo["max_output_tokens"] = order.tokens_max ? Json(*order.tokens_max) : Json(nullptr);
  request.echo["parallel_tool_calls"] = order.parallel_calls;
  request.echo["previous_response_id"] = request.previous.empty() ? Json(nullptr) : Json(request.previous);
  request.echo["store"] = request.store;
  request.echo["temperature"] = order.sampling.temperature;
  request.echo["top_p"] = order.sampling.top_p;
  return request;
}

}  // namespace flotilla
