#include "server/anthropic_messages.h"

#include <format>
#include <utility>

#include "server/anthropic_request.h"
#include "server/response_format.h"
#include "server/stream_events.h"

namespace flotilla {
namespace {

using Kind = AnswerPart::Kind;

std::string_view anthropic_type(unsigned status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

// `param` and `code` are ours, and stand where Anthropic has nothing.
Json anthropic_error(const ApiError& error) {
  // Clients look for these words, and shorten the conversation where they find them.
  const std::string_view known = error.error.code == Code::context_length ? "prompt is too long: " : "";
  Json inner{{"type", anthropic_type(status_of(error))},
             {"message", std::string(known) + error.error.message},
             {"code", code_name(error)}};
  if (!error.param.empty()) inner["param"] = error.param;
  return {{"type", "error"}, {"error", std::move(inner)}};
}

std::string event(const Json& data) { return named_event(data["type"].get_ref<const std::string&>(), data); }

Json block_json(const AnswerPart& part) {
  switch (part.kind) {
    case Kind::content:
      return {{"type", "text"}, {"text", part.text}};
    case Kind::reasoning:
      return {{"type", "thinking"}, {"thinking", part.text}, {"signature", ""}};
    case Kind::call:
      break;
  }
  return {{"type", "tool_use"},
          {"id", part.id},
          {"name", part.name},
          {"input", Json::parse(part.text, nullptr, /*allow_exceptions=*/false)}};
}

Json delta_json(const AnswerPart& part) {
  switch (part.kind) {
    case Kind::content:
      return {{"type", "text_delta"}, {"text", part.text}};
    case Kind::reasoning:
      return {{"type", "thinking_delta"}, {"thinking", part.text}};
    case Kind::call:
      break;
  }
  return {{"type", "input_json_delta"}, {"partial_json", part.text}};
}

// The block before anything stands in it.
Json empty_block(const AnswerPart& part) {
  AnswerPart empty = part;
  empty.text = part.kind == Kind::call ? "{}" : "";
  return block_json(empty);
}

Json usage_json(const AnswerFacts& facts, std::size_t output_tokens) {
  return {{"input_tokens", facts.prompt_tokens - facts.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", facts.cached_tokens},
          {"output_tokens", output_tokens}};
}

Json stop_json(std::string_view finish, const std::string& stop) {
  std::string_view reason = "end_turn";
  if (finish == "length") reason = "max_tokens";
  if (finish == "tool_calls") reason = "tool_use";
  if (finish == "stop" && !stop.empty()) reason = "stop_sequence";
  return {{"stop_reason", reason}, {"stop_sequence", reason == "stop_sequence" ? Json(stop) : Json(nullptr)}};
}

Json message_json(const AnswerFacts& facts) {
  return {{"id", "msg_" + facts.number}, {"type", "message"},      {"role", "assistant"},     {"model", facts.model},
          {"content", Json::array()},    {"stop_reason", nullptr}, {"stop_sequence", nullptr}};
}

}  // namespace

HttpAnswer anthropic_error_answer(const ApiError& error) { return error_answer(error, dump(anthropic_error(error))); }

// --- Reading ---------------------------------------------------------------------------------------------------------

ApiResult<GenerationOrder> AnthropicMessages::read(const nlohmann::json& body) {
  JsonFields fields(body);
  auto order = read_anthropic_order(fields, chat_);
  if (fields.fault()) return fault_of(fields);
  return order;
}

void AnthropicMessages::keep_order(const JsonText& body, GenerationOrder& order) {
  const auto format = body.at({"output_config", "format", "schema"});
  keep_schema_order(format ? format : body.at({"output_format", "schema"}), order);
  keep_tool_order(body.at({"tools"}), {"input_schema"}, chat_);
}

ApiResult<std::vector<Prompt>> AnthropicMessages::prompts(const OpenModel& model) {
  return chat_prompts(chat_, model, "messages");
}

// --- Writing ---------------------------------------------------------------------------------------------------------

std::string AnthropicMessages::whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) {
  auto message = message_json(facts);
  const auto& choice = choices.front();
  for (const auto& part : choice.parts) message["content"].push_back(block_json(part));
  message.update(stop_json(choice.finish, choice.stop));
  message["usage"] = usage_json(facts, facts.completion_tokens);
  return dump(message);
}

std::string AnthropicMessages::begin(const AnswerFacts& facts) {
  if (std::exchange(begun_, true)) return {};
  auto message = message_json(facts);
  message["usage"] = usage_json(facts, 0);
  return event({{"type", "message_start"}, {"message", std::move(message)}});
}

std::string AnthropicMessages::close_block() {
  if (!std::exchange(open_, std::nullopt)) return {};
  return event({{"type", "content_block_stop"}, {"index", blocks_ - 1}});
}

std::string AnthropicMessages::part(const AnswerPart& part) {
  std::string events;
  if (open_ != part.kind || part.kind == Kind::call) {
    events = close_block();
    open_ = part.kind;
    events += event({{"type", "content_block_start"}, {"index", blocks_++}, {"content_block", empty_block(part)}});
  }
  return events + event({{"type", "content_block_delta"}, {"index", blocks_ - 1}, {"delta", delta_json(part)}});
}

std::string AnthropicMessages::piece(const AnswerFacts& facts, const ChoicePiece& piece) {
  auto events = begin(facts);
  for (const auto& each : piece.parts) events += part(each);
  if (!piece.finish.empty()) {
    finish_ = piece.finish;
    stop_ = piece.stop;
  }
  return events;
}

std::string AnthropicMessages::end(const AnswerFacts& facts) {
  auto events = close_block();
  events += event({{"type", "message_delta"},
                   {"delta", stop_json(finish_, stop_)},
                   {"usage", usage_json(facts, facts.completion_tokens)}});
  return events + event({{"type", "message_stop"}});
}

std::string AnthropicMessages::broken(const AnswerFacts&, const ApiError& error) {
  return event(anthropic_error(error));
}

std::string AnthropicMessages::silent(const AnswerFacts&, std::string_view) { return event({{"type", "ping"}}); }
std::string_view AnthropicMessages::stream_type() const { return event_stream_type; }

// --- Counting --------------------------------------------------------------------------------------------------------

ApiResult<GenerationOrder> AnthropicCount::read(const nlohmann::json& body) {
  auto order = AnthropicMessages::read(body);
  if (order) order->stream = false;
  return order;
}

ApiResult<std::vector<Prompt>> AnthropicCount::prompts(const OpenModel& model) {
  auto prompts = AnthropicMessages::prompts(model);
  if (!prompts) return prompts;
  for (const auto& prompt : *prompts) tokens_ += prompt.tokens.size();
  return std::vector<Prompt>();
}

std::string AnthropicCount::whole(const AnswerFacts&, std::span<const ChoicePiece>) {
  return dump(Json{{"input_tokens", tokens_}});
}

}  // namespace flotilla
