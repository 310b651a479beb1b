#include "server/anthropic_request.h"

#include <format>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "server/response_format.h"

namespace flotilla {
namespace {

constexpr std::size_t blocks_max = 4096;      // of one message
constexpr std::size_t type_shown_bytes = 64;  // of a type that a client made up

void unsupported_block(JsonFields& block, std::string_view where) {
  const auto type = block.text("type").value_or("");
  block.wrong(
      "type", Code::unsupported,
      std::format("expected blocks of another type in {} but got \"{}\", which is not supported by this version", where,
                  type.substr(0, type_shown_bytes)));
}

// Text, or blocks that `take` understands by their type: false where it does not.
using TakeBlock = std::function<bool(const std::string& type, JsonFields& block)>;

void read_blocks(JsonFields& holder, std::string_view name, std::string_view where, const TakeBlock& take) {
  const auto* blocks = holder.array(name, blocks_max);
  if (blocks == nullptr) return;
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    JsonFields block((*blocks)[i], holder.name_of(std::format("{}[{}].", name, i)));
    const auto type = block.text("type").value_or("");
    if (!block.fault() && !take(type, block)) unsupported_block(block, where);
    if (block.fault()) return holder.adopt(*block.fault());
  }
}

std::string need_text(JsonFields& block, const char* name) {
  auto text = block.text(name);
  if (!text) block.wrong(name, Code::invalid_argument, std::format("expected the block to have a string \"{}\"", name));
  return text.value_or("");
}

// Text alone, as "system" and the content of a tool's result have it.
std::string read_texts(JsonFields& holder, const char* name, std::string_view where, std::string_view between) {
  const auto* value = holder.find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  std::string text;
  read_blocks(holder, name, where, [&](const std::string& type, JsonFields& block) {
    if (type != "text") return false;
    text += (text.empty() ? "" : std::string(between)) + need_text(block, "text");
    return true;
  });
  return text;
}

// Claude Code begins its system's blocks with a line for Anthropic's books. It differs from request to request, so that
// no prompt would begin like the one before, and nothing computed for it could be used again.
constexpr std::string_view billing_mark = "x-anthropic-billing-header:";

std::string read_system(JsonFields& fields) {
  const auto* value = fields.find("system");
  if (value == nullptr || !value->is_array()) return read_texts(fields, "system", "system", "\n\n");
  std::string text;
  read_blocks(fields, "system", "system", [&](const std::string& type, JsonFields& block) {
    if (type != "text") return false;
    const auto said = need_text(block, "text");
    if (!said.starts_with(billing_mark)) text += (text.empty() ? "" : "\n\n") + said;
    return true;
  });
  return text;
}

// Messages of blocks become messages of models, in order.
class MessageReader {
 public:
  explicit MessageReader(std::vector<ChatMessage>& messages) : messages_(messages) {}
  void read(JsonFields& message);

 private:
  void read_user(JsonFields& message);
  void read_assistant(JsonFields& message);
  bool read_said(const std::string& type, JsonFields& block, ChatMessage& said);
  void say(const std::string& text);
  ChatMessage tool_result(JsonFields& block) const;

  std::vector<ChatMessage>& messages_;
  std::map<std::string, std::string> called_;  // tools' names by the ids of their calls
};

void MessageReader::read(JsonFields& message) {
  const auto role = message.text("role").value_or("");
  if (role == "user") {
    read_user(message);
  } else if (role == "assistant") {
    read_assistant(message);
  } else if (role == "system") {
    messages_.push_back(
        {.role = role, .content = read_texts(message, "content", "a system message", "\n"), .name = {}});
  } else {
    message.wrong("role", Code::invalid_argument, "expected the role in messages to be user or assistant");
  }
}

ChatMessage MessageReader::tool_result(JsonFields& block) const {
  ChatMessage result{.role = "tool", .content = {}, .name = {}};
  result.call_id = need_text(block, "tool_use_id");
  result.content = read_texts(block, "content", "a tool's result", "\n");
  if (block.boolean("is_error").value_or(false)) result.content = "Error: " + result.content;
  if (const auto call = called_.find(result.call_id); call != called_.end()) result.name = call->second;
  return result;
}

// What a user says in several messages is one to models, many of which refuse two in a row.
void MessageReader::say(const std::string& text) {
  if (!messages_.empty() && messages_.back().role == "user") {
    messages_.back().content += "\n" + text;
  } else {
    messages_.push_back({.role = "user", .content = text, .name = {}});
  }
}

// Results of tools are messages of their own to models; what is said beside them is the user's.
void MessageReader::read_user(JsonFields& message) {
  const auto* content = message.find("content");
  if (content == nullptr)
    return message.wrong("content", Code::invalid_argument, "expected each message to have content, text or blocks");
  if (content->is_string()) return say(content->get<std::string>());
  read_blocks(message, "content", "a user's message", [&](const std::string& type, JsonFields& block) {
    if (type == "text") {
      say(need_text(block, "text"));
    } else if (type == "tool_result") {
      messages_.push_back(tool_result(block));
    } else {
      return false;
    }
    return true;
  });
}

bool MessageReader::read_said(const std::string& type, JsonFields& block, ChatMessage& said) {
  if (type == "text") {
    said.content += need_text(block, "text");
  } else if (type == "thinking") {
    said.reasoning += need_text(block, "thinking");
  } else if (type == "tool_use") {
    const auto* input = block.object("input");
    ToolCall call{.id = need_text(block, "id"), .name = need_text(block, "name"), .arguments = "{}"};
    if (input != nullptr) call.arguments = dump(*input);
    called_[call.id] = call.name;
    said.calls.push_back(std::move(call));
  } else {
    return type == "redacted_thinking";  // only who wrote it can read it
  }
  return true;
}

void MessageReader::read_assistant(JsonFields& message) {
  ChatMessage said{.role = "assistant", .content = {}, .name = {}};
  const auto* content = message.find("content");
  if (content != nullptr && content->is_string()) {
    said.content = content->get<std::string>();
  } else {
    read_blocks(message, "content", "an assistant's message",
                [&](const std::string& type, JsonFields& block) { return read_said(type, block, said); });
  }
  messages_.push_back(std::move(said));
}

void read_messages_of(JsonFields& fields, std::vector<ChatMessage>& messages) {
  const auto* array = fields.array("messages", limits::messages_max);
  if (array == nullptr || array->empty()) {
    return fields.wrong("messages", Code::invalid_argument, "expected messages to be an array of at least one message");
  }
  MessageReader reader(messages);
  for (std::size_t i = 0; i < array->size(); ++i) {
    JsonFields message((*array)[i], std::format("messages[{}].", i));
    reader.read(message);
    if (message.fault()) return fields.adopt(*message.fault());
  }
  if (messages.size() > limits::messages_max) {
    return fields.wrong("messages", Code::too_large,
                        std::format("expected at most {} messages and results of tools but got {}",
                                    limits::messages_max, messages.size()));
  }
  if (!messages.empty() && messages.back().role == "assistant") {
    fields.wrong(
        "messages", Code::unsupported,
        "going on in an assistant's message is not supported by this version; expected the last message to be a "
        "user's");
  }
}

void add_tools(JsonFields& fields, ToolList& list) {
  const auto* tools = fields.array("tools", tools_max);
  if (tools == nullptr) return;
  for (std::size_t i = 0; i < tools->size(); ++i) {
    JsonFields tool((*tools)[i], std::format("tools[{}].", i));
    const auto type = tool.text("type").value_or("custom");
    if (type != "custom") {
      tool.wrong(
          "type", Code::unsupported,
          std::format("the tool \"{}\" is Anthropic's own and not supported by this version; expected tools with a "
                      "name and an input_schema",
                      type.substr(0, type_shown_bytes)));
    }
    OfferedTool offered{.name = tool.text("name").value_or(""),
                        .description = tool.text("description").value_or(""),
                        .parameters = {},
                        .strict = tool.boolean("strict").value_or(false),
                        .place = i};
    const auto* schema = tool.object("input_schema");
    if (!tool.fault()) list.add(tool.name_of("name"), std::move(offered), schema);
    if (tool.fault()) return fields.adopt(*tool.fault());
  }
}

ToolChoice read_choice(JsonFields& fields, GenerationOrder& order) {
  using Kind = ToolChoice::Kind;
  const auto* choice = fields.object("tool_choice");
  if (choice == nullptr) return {};
  JsonFields inner(*choice, "tool_choice.");
  const auto type = inner.text("type").value_or("");
  order.parallel_calls = !inner.boolean("disable_parallel_tool_use").value_or(false);
  auto name = type == "tool" ? need_text(inner, "name") : std::string();
  if (inner.fault()) return fields.adopt(*inner.fault()), ToolChoice{};
  if (type == "auto") return {};
  if (type == "none") return {.kind = Kind::none};
  if (type == "any") return {.kind = Kind::must_call};
  if (type == "tool") return {.kind = Kind::must_call, .only = {std::move(name)}};
  fields.wrong("tool_choice", Code::invalid_argument, "expected tool_choice.type to be auto, any, tool or none");
  return {};
}

void read_anthropic_tools(JsonFields& fields, ChatRequest& chat, GenerationOrder& order) {
  ToolList list(fields);
  add_tools(fields, list);
  list.give_to(chat, read_choice(fields, order));
}

// "output_config": {"format": …}, which was "output_format" before.
void read_output_format(JsonFields& fields, GenerationOrder& order) {
  if (const auto* config = fields.object("output_config")) {
    JsonFields inner(*config, "output_config.");
    if (const auto* format = inner.object("format")) read_format(inner, "format", *format, order);
    if (inner.fault()) return fields.adopt(*inner.fault());
  }
  if (order.constraint.any()) return;
  if (const auto* format = fields.object("output_format")) read_format(fields, "output_format", *format, order);
}

std::optional<bool> read_thinking(JsonFields& fields) {
  const auto* thinking = fields.object("thinking");
  if (thinking == nullptr) return std::nullopt;
  JsonFields inner(*thinking, "thinking.");
  const auto type = inner.text("type").value_or("");
  if (type == "enabled") return true;  // its budget is a wish that no model here can be told
  if (type == "disabled") return false;
  if (type != "adaptive")
    fields.wrong("thinking", Code::invalid_argument, "expected thinking.type to be enabled, disabled or adaptive");
  return std::nullopt;
}

}  // namespace

GenerationOrder read_anthropic_order(JsonFields& fields, ChatRequest& chat) {
  GenerationOrder order;
  order.model = read_model(fields, "GET /v1/models lists them");
  order.stream = fields.boolean("stream").value_or(false);
  if (const auto most = fields.integer("max_tokens", 1, limits::context_tokens_max))
    order.tokens_max = static_cast<std::uint32_t>(*most);
  order.stops = read_stops(fields, "stop_sequences");
  order.sampling = read_sampling(fields);
  auto& messages = chat.conversation.messages;
  if (auto system = read_system(fields); !system.empty())
    messages.push_back({.role = "system", .content = std::move(system), .name = {}});
  read_messages_of(fields, messages);
  chat.conversation.thinks = read_thinking(fields);
  read_anthropic_tools(fields, chat, order);
  read_output_format(fields, order);
  for (const char* name : {"mcp_servers", "container"}) refuse_field(fields, name);
  refuse_unsupported(fields);
  return order;
}

}  // namespace flotilla
