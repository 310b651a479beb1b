#include "server/openai_responses.h"

#include <format>
#include <utility>

#include "server/response_format.h"
#include "server/stream_events.h"

namespace flotilla {
namespace {

using Kind = AnswerPart::Kind;

std::string item_id(const AnswerFacts& facts, Kind kind, std::size_t index) {
  const auto* prefix = kind == Kind::content ? "msg" : kind == Kind::reasoning ? "rs" : "fc";
  return std::format("{}_{}{:04x}", prefix, facts.number, index);
}

Json text_part(const std::string& text) {
  return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
}

Json thought_part(const std::string& text) { return {{"type", "reasoning_text"}, {"text", text}}; }

Json item_json(const std::string& id, const AnswerPart& part, bool is_done) {
  const auto* status = is_done ? "completed" : "in_progress";
  const auto parts = [&](Json one) { return is_done ? Json::array({std::move(one)}) : Json::array(); };
  switch (part.kind) {
    case Kind::content:
      return {{"id", id},
              {"type", "message"},
              {"status", status},
              {"role", "assistant"},
              {"content", parts(text_part(part.text))}};
    case Kind::reasoning:
      return {{"id", id},
              {"type", "reasoning"},
              {"status", status},
              {"summary", Json::array()},
              {"content", parts(thought_part(part.text))}};
    case Kind::call:
      break;
  }
  return {{"id", id},           {"type", "function_call"}, {"status", status},
          {"call_id", part.id}, {"name", part.name},       {"arguments", is_done ? part.text : ""}};
}

Json usage_json(const AnswerFacts& facts) {
  return {{"input_tokens", facts.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", facts.cached_tokens}}},
          {"output_tokens", facts.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", facts.prompt_tokens + facts.completion_tokens}};
}

}  // namespace

// --- Reading ---------------------------------------------------------------------------------------------------------

ApiResult<GenerationOrder> OpenAiResponses::read(const nlohmann::json& body) {
  JsonFields fields(body);
  request_ = read_response_request(fields);
  if (fields.fault()) return fault_of(fields);
  return request_.order;
}

void OpenAiResponses::keep_order(const JsonText& body, GenerationOrder& order) {
  keep_schema_order(body.at({"text", "format", "schema"}), order);
  keep_tool_order(body.at({"tools"}), {"parameters"}, request_.chat);
}

ApiResult<void> OpenAiResponses::recall() {
  auto& messages = request_.chat.conversation.messages;
  if (!request_.previous.empty()) {
    const auto earlier = store_->find(key_, request_.previous);
    if (earlier == nullptr) {
      return std::unexpected(ApiError{
          .error = {Code::invalid_argument,
                    "[server] expected previous_response_id to be of an answer that is still kept for this key "
                    "but it is not, or no more; send the conversation as input"},
          .param = "previous_response_id",
          .name = "previous_response_not_found"});
    }
    messages.insert(messages.begin(), earlier->begin(), earlier->end());
  }
  if (!request_.instructions.empty()) {
    messages.insert(messages.begin(), ChatMessage{.role = "system", .content = request_.instructions, .name = {}});
    before_ = 1;
  }
  return {};
}

ApiResult<std::vector<Prompt>> OpenAiResponses::prompts(const OpenModel& model) {
  return chat_prompts(request_.chat, model, "input");
}

// --- Writing ---------------------------------------------------------------------------------------------------------

Json OpenAiResponses::response(const AnswerFacts& facts, std::string_view status) const {
  Json response{{"id", "resp_" + facts.number},
                {"object", "response"},
                {"created_at", facts.created_seconds()},
                {"status", status},
                {"error", nullptr},
                {"incomplete_details", nullptr},
                {"model", facts.model},
                {"output", Json::array()},
                {"usage", nullptr},
                {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                {"truncation", "disabled"},
                {"metadata", Json::object()}};
  response.update(request_.echo);
  return response;
}

Json OpenAiResponses::finished(const AnswerFacts& facts, const AnswerParts& parts, std::string_view finish) {
  const bool is_cut = finish == "length";
  auto answer = response(facts, is_cut ? "incomplete" : "completed");
  if (is_cut) answer["incomplete_details"] = {{"reason", "max_output_tokens"}};
  for (std::size_t i = 0; i < parts.size(); ++i)
    answer["output"].push_back(item_json(item_id(facts, parts[i].kind, i), parts[i], true));
  answer["usage"] = usage_json(facts);
  if (request_.store) keep(facts, parts);
  return answer;
}

// What was asked and answered, for who goes on from here; not the instructions, which are this answer's alone.
void OpenAiResponses::keep(const AnswerFacts& facts, const AnswerParts& parts) {
  auto& messages = request_.chat.conversation.messages;
  messages.erase(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(std::exchange(before_, 0)));
  ChatMessage answer{.role = "assistant", .content = {}, .name = {}};
  for (const auto& part : parts) {
    if (part.kind == Kind::content) answer.content += part.text;
    if (part.kind == Kind::reasoning) answer.reasoning += part.text;
    if (part.kind == Kind::call) answer.calls.push_back({.id = part.id, .name = part.name, .arguments = part.text});
  }
  messages.push_back(std::move(answer));
  store_->keep(key_, "resp_" + facts.number, std::make_shared<const std::vector<ChatMessage>>(std::move(messages)));
}

std::string OpenAiResponses::whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) {
  return dump(finished(facts, choices.front().parts, choices.front().finish));
}

std::string OpenAiResponses::event(std::string_view type, Json data) {
  Json event{{"type", type}, {"sequence_number", sequence_++}};
  event.update(data);
  return named_event(type, event);
}

std::string OpenAiResponses::begin(const AnswerFacts& facts) {
  if (std::exchange(begun_, true)) return {};
  const auto response = this->response(facts, "in_progress");
  auto events = event("response.created", {{"response", response}});
  events += event("response.in_progress", {{"response", response}});
  return events;
}

std::string OpenAiResponses::open_item(const AnswerFacts& facts, const AnswerPart& part) {
  const auto index = parts_.size();
  item_id_ = item_id(facts, part.kind, index);
  item_open_ = true;
  auto events =
      event("response.output_item.added", {{"output_index", index}, {"item", item_json(item_id_, part, false)}});
  parts_.push_back({.kind = part.kind, .name = part.name, .id = part.id});
  if (part.kind == Kind::content) {
    events += event("response.content_part.added",
                    {{"item_id", item_id_}, {"output_index", index}, {"content_index", 0}, {"part", text_part("")}});
  }
  return events;
}

std::string OpenAiResponses::delta(const AnswerPart& part) {
  parts_.back().text += part.text;
  Json data{{"item_id", item_id_}, {"output_index", parts_.size() - 1}};
  if (part.kind != Kind::call) data["content_index"] = 0;
  data["delta"] = part.text;
  if (part.kind == Kind::content) data["logprobs"] = Json::array();
  const auto* type = part.kind == Kind::content     ? "response.output_text.delta"
                     : part.kind == Kind::reasoning ? "response.reasoning_text.delta"
                                                    : "response.function_call_arguments.delta";
  return event(type, std::move(data));
}

std::string OpenAiResponses::close_item() {
  if (!std::exchange(item_open_, false)) return {};
  const auto& part = parts_.back();
  const Json where{{"item_id", item_id_}, {"output_index", parts_.size() - 1}};
  const auto with = [&](Json more) {
    Json data = where;
    data.update(more);
    return data;
  };
  std::string events;
  switch (part.kind) {
    case Kind::content:
      events = event("response.output_text.done",
                     with({{"content_index", 0}, {"text", part.text}, {"logprobs", Json::array()}}));
      events += event("response.content_part.done", with({{"content_index", 0}, {"part", text_part(part.text)}}));
      break;
    case Kind::reasoning:
      events = event("response.reasoning_text.done", with({{"content_index", 0}, {"text", part.text}}));
      break;
    case Kind::call:
      events = event("response.function_call_arguments.done", with({{"name", part.name}, {"arguments", part.text}}));
      break;
  }
  events += event("response.output_item.done",
                  {{"output_index", parts_.size() - 1}, {"item", item_json(item_id_, part, true)}});
  return events;
}

std::string OpenAiResponses::piece(const AnswerFacts& facts, const ChoicePiece& piece) {
  auto events = begin(facts);
  for (const auto& part : piece.parts) {
    if (!item_open_ || parts_.back().kind != part.kind || part.kind == Kind::call) {
      events += close_item();
      events += open_item(facts, part);
    }
    events += delta(part);
  }
  if (!piece.finish.empty()) finish_ = piece.finish;
  return events;
}

std::string OpenAiResponses::end(const AnswerFacts& facts) {
  auto events = close_item();
  const auto* type = finish_ == "length" ? "response.incomplete" : "response.completed";
  return events + event(type, {{"response", finished(facts, parts_, finish_)}});
}

std::string OpenAiResponses::broken(const AnswerFacts& facts, const ApiError& error) {
  auto events = begin(facts);
  auto failed = response(facts, "failed");
  failed["error"] = {{"code", code_name(error)}, {"message", error.error.message}};
  return events + event("response.failed", {{"response", std::move(failed)}});
}

std::string OpenAiResponses::silent(const AnswerFacts&, std::string_view why) { return comment_event(why); }
std::string_view OpenAiResponses::stream_type() const { return event_stream_type; }

}  // namespace flotilla
