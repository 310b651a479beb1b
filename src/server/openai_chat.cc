#include "server/openai_chat.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/limits.h"

namespace flotilla {

// --- Reading ---------------------------------------------------------------------------------------------------------

ApiResult<GenerationOrder> OpenAiChat::read(const nlohmann::json& body) {
  JsonFields fields(body);
  auto order = read_order(fields);
  messages_ = read_messages(fields);

  const auto tokens_max = fields.integer("max_tokens", 1, limits::context_tokens_max);
  const auto completion_tokens_max = fields.integer("max_completion_tokens", 1, limits::context_tokens_max);
  if (tokens_max) order.tokens_max = static_cast<std::uint32_t>(*tokens_max);
  if (completion_tokens_max) order.tokens_max = static_cast<std::uint32_t>(*completion_tokens_max);

  wants_logprobs_ = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, limits::top_logprobs_max);
  if (top && !wants_logprobs_) {
    fields.wrong("top_logprobs", Code::invalid_argument, "expected logprobs to be true where top_logprobs is given");
  }
  if (wants_logprobs_) order.top_logprobs = static_cast<std::int32_t>(top.value_or(0));
  wants_token_ids_ = order.return_token_ids;
  if (fields.boolean("add_generation_prompt") == false) {
    fields.wrong("add_generation_prompt", Code::unsupported,
                 "add_generation_prompt = false is not supported; use /v1/completions");
  }
  if (const auto& fault = fields.fault()) {
    return std::unexpected(ApiError{.error = fault->error, .param = fault->param, .name = {}, .status = 0});
  }
  return order;
}

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

// The calls an assistant made earlier, one JSON object a line, so that the tools' answers after it make sense.
std::string tool_calls_text(JsonFields& message) {
  std::string text;
  if (const auto* calls = message.array("tool_calls", limits::messages_max)) {
    for (const auto& call : *calls) {
      const auto function =
          call.is_object() ? call.value("function", nlohmann::json::object()) : nlohmann::json::object();
      text += (text.empty() ? "" : "\n") + dump(function);
    }
  }
  if (const auto* call = message.object("function_call")) text += (text.empty() ? "" : "\n") + dump(*call);
  return text;
}

std::optional<std::string> template_role(const std::string& role) {
  if (role == "system" || role == "developer") return "system";
  if (role == "user" || role == "assistant") return role;
  if (role == "tool" || role == "function") return "tool";
  return std::nullopt;
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
  if (const auto calls = tool_calls_text(message); !calls.empty()) {
    read.content += (read.content.empty() ? "" : "\n") + calls;
  }
  return read;
}

}  // namespace

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
  return messages;
}

ApiResult<std::vector<Prompt>> OpenAiChat::prompts(const OpenModel& model) {
  auto tokens = model.chat_template->render(messages_, true);
  if (!tokens) {
    auto error = ApiError::from(std::move(tokens).error());
    error.param = "messages";
    return std::unexpected(std::move(error));
  }
  std::vector<Prompt> prompts;
  prompts.push_back({.text = {}, .tokens = std::move(*tokens)});
  return prompts;
}

// --- Writing ---------------------------------------------------------------------------------------------------------

namespace {

Json scored_json(const std::string& bytes, float logprob) {
  return {{"token", bytes}, {"logprob", logprob}, {"bytes", bytes_json(bytes)}};
}

Json nullable(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

Json bytes_json(std::string_view bytes) {
  Json array = Json::array();
  for (const char c : bytes) array.push_back(static_cast<unsigned char>(c));
  return array;
}

Json OpenAiChat::logprobs(const std::vector<ScoredToken>& scores) const {
  if (!wants_logprobs_) return nullptr;
  Json content = Json::array();
  for (const auto& scored : scores) {
    auto entry = scored_json(scored.bytes, scored.logprob.value_or(0));
    entry["top_logprobs"] = Json::array();
    for (const auto& [bytes, logprob] : scored.top) entry["top_logprobs"].push_back(scored_json(bytes, logprob));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

std::optional<Json> OpenAiChat::opening(std::uint32_t index) const {
  return Json{{"index", index},
              {"delta", {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}},
              {"logprobs", nullptr},
              {"finish_reason", nullptr}};
}

Json OpenAiChat::delta(const ChoicePiece& piece) const {
  const bool last = !piece.finish.empty();
  Json choice{{"index", piece.index},
              {"delta", last ? Json::object() : Json{{"content", piece.text}}},
              {"logprobs", last ? Json(nullptr) : logprobs(piece.scores)},
              {"finish_reason", nullable(piece.finish)}};
  if (wants_token_ids_) choice["token_ids"] = piece.token_ids;
  return choice;
}

Json OpenAiChat::whole(const ChoicePiece& piece) const {
  Json choice{{"index", piece.index},
              {"message", {{"role", "assistant"}, {"content", piece.text}, {"refusal", nullptr}}},
              {"logprobs", logprobs(piece.scores)},
              {"finish_reason", nullable(piece.finish)}};
  if (wants_token_ids_) choice["token_ids"] = piece.token_ids;
  return choice;
}

}  // namespace flotilla
