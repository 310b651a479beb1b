#include "server/ollama_request.h"

#include <string>
#include <utility>

#include "base/limits.h"
#include "server/openai_messages.h"
#include "server/response_format.h"

namespace flotilla {
namespace {

// Only what concerns the answer. How a model is held in memory (num_ctx, num_gpu, use_mmap, …) was decided when it was
// loaded; a prompt that is too long for that is refused, never cut.
void read_options(JsonFields& fields, GenerationOrder& order) {
  static const auto none = nlohmann::json::object();
  const auto* given = fields.object("options");
  JsonFields options(given == nullptr ? none : *given, "options.");
  order.sampling = read_sampling(options);
  order.stops = read_stops(options, "stop");
  // Negative: until the model ends, or the context does.
  if (const auto most = options.integer("num_predict", -2, limits::context_tokens_max); most && *most > 0)
    order.tokens_max = static_cast<std::uint32_t>(*most);
  refuse_unsupported(options);
  if (options.fault()) fields.adopt(*options.fault());
}

void read_think(JsonFields& fields, ChatRequest& chat) {
  const auto* think = fields.find("think");
  if (think == nullptr) return;
  if (think->is_boolean()) {
    chat.conversation.thinks = think->get<bool>();
  } else if (*think == "low" || *think == "medium" || *think == "high" || *think == "max") {
    chat.conversation.thinks = true;  // how much is a wish that templates of these models do not take
  } else {
    fields.expected("think", "true, false, \"low\", \"medium\", \"high\" or \"max\"", *think);
  }
}

// "json", or a schema.
void read_ollama_format(JsonFields& fields, GenerationOrder& order) {
  const auto* format = fields.find("format");
  if (format == nullptr || *format == "") return;
  if (*format == "json") {
    order.constraint_field = "format";
    order.constraint = {ConstraintKind::json_object, {}};
  } else if (format->is_object()) {
    read_schema(fields, "format", *format, order);
  } else {
    fields.expected("format", "\"json\" or a JSON schema", *format);
  }
}

GenerationOrder read_common(JsonFields& fields, ChatRequest& chat) {
  GenerationOrder order;
  order.model = without_latest(read_model(fields, "GET /api/tags lists them"));
  order.stream = fields.boolean("stream").value_or(true);
  read_options(fields, order);
  read_think(fields, chat);
  read_ollama_format(fields, order);
  return order;
}

// Asked without anything to answer, a model is loaded, or, where it is to be kept for no time, unloaded.
void check_load(JsonFields& fields) {
  const auto* keep = fields.find("keep_alive");
  if (keep != nullptr && (*keep == 0 || *keep == "0" || *keep == "0s")) {
    fields.wrong("keep_alive", Code::unsupported,
                 "unloading a model so is not supported by this version; use POST /unload {\"model\": …}");
  }
}

}  // namespace

std::string without_latest(std::string name) {
  constexpr std::string_view tag = ":latest";
  if (name.size() > tag.size() && name.ends_with(tag)) name.resize(name.size() - tag.size());
  return name;
}

GenerationOrder read_ollama_chat(JsonFields& fields, ChatRequest& chat) {
  auto order = read_common(fields, chat);
  const auto* messages = fields.find("messages");
  if (messages == nullptr || (messages->is_array() && messages->empty())) {
    check_load(fields);
  } else {
    chat.conversation.messages = read_messages(fields);
  }
  read_tools(fields, chat);
  return order;
}

GenerationOrder read_ollama_generate(JsonFields& fields, ChatRequest& chat) {
  auto order = read_common(fields, chat);
  for (const char* name : {"suffix", "images", "template", "context"}) refuse_field(fields, name);
  refuse_field(fields, "raw", "send the prompt to /v1/completions");
  auto prompt = fields.text("prompt").value_or("");
  auto system = fields.text("system").value_or("");
  if (prompt.empty()) {
    check_load(fields);
    return order;
  }
  auto& said = chat.conversation.messages;
  if (!system.empty()) said.push_back({.role = "system", .content = std::move(system), .name = {}});
  said.push_back({.role = "user", .content = std::move(prompt), .name = {}});
  return order;
}

}  // namespace flotilla
