#include "server/openai_chat.h"

#include <format>
#include <utility>

#include "base/limits.h"
#include "server/openai_messages.h"

namespace flotilla {

// --- Reading ---------------------------------------------------------------------------------------------------------

ApiResult<GenerationOrder> OpenAiChat::read(const nlohmann::json& body) {
  JsonFields fields(body);
  auto order = read_order(fields);
  include_usage_ = order.include_usage;
  chat_.conversation.messages = read_messages(fields);
  chat_.conversation.thinks = read_thinks(fields);
  read_tools(fields, chat_);
  order.parallel_calls = fields.boolean("parallel_tool_calls").value_or(true);

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
  if (fields.fault()) return fault_of(fields);
  return order;
}

void OpenAiChat::keep_order(const JsonText& body, GenerationOrder& order) {
  OpenAiDialect::keep_order(body, order);
  keep_tool_order(body.at({"tools"}), {"function", "parameters"}, chat_);
}

ApiResult<std::vector<Prompt>> OpenAiChat::prompts(const OpenModel& model) {
  return chat_prompts(chat_, model, "messages");
}

// --- Writing ---------------------------------------------------------------------------------------------------------

namespace {

Json scored_json(const std::string& bytes, float logprob) {
  return {{"token", bytes}, {"logprob", logprob}, {"bytes", bytes_json(bytes)}};
}

Json nullable(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

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

namespace {

Json call_json(const AnswerPart& call) {
  return {{"id", call.id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.text}}}};
}

}  // namespace

Json OpenAiChat::chunk(const ChoicePiece& piece, Json delta) const {
  return {{"index", piece.index}, {"delta", std::move(delta)}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
}

// The first delta of a call says all but its arguments, which come in the next: clients join what they get by its
// index, names too.
void OpenAiChat::add_part(const ChoicePiece& piece, const AnswerPart& part, std::vector<Json>& chunks) {
  switch (part.kind) {
    case AnswerPart::Kind::content:
      return chunks.push_back(chunk(piece, {{"content", part.text}}));
    case AnswerPart::Kind::reasoning:
      return chunks.push_back(chunk(piece, {{"reasoning_content", part.text}}));
    case AnswerPart::Kind::call:
      break;
  }
  const auto index = choices_[piece.index].calls++;
  Json begun = call_json(part);
  begun["function"]["arguments"] = "";
  begun["index"] = index;
  chunks.push_back(chunk(piece, {{"tool_calls", Json::array({std::move(begun)})}}));
  Json rest{{"index", index}, {"function", {{"arguments", part.text}}}};
  chunks.push_back(chunk(piece, {{"tool_calls", Json::array({std::move(rest)})}}));
}

std::vector<Json> OpenAiChat::deltas(const ChoicePiece& piece) {
  std::vector<Json> chunks;
  if (!std::exchange(choices_[piece.index].opened, true))
    chunks.push_back(chunk(piece, {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}));
  const auto opening = chunks.size();
  for (const auto& part : piece.parts) add_part(piece, part, chunks);
  if (chunks.size() == opening)
    chunks.push_back(chunk(piece, piece.finish.empty() ? Json{{"content", ""}} : Json::object()));
  auto& first = chunks[opening];
  if (piece.finish.empty()) first["logprobs"] = logprobs(piece.scores);
  if (wants_token_ids_) first["token_ids"] = piece.token_ids;
  chunks.back()["finish_reason"] = nullable(piece.finish);
  return chunks;
}

Json OpenAiChat::whole_choice(const ChoicePiece& piece) const {
  const auto said = text_of(piece.parts, AnswerPart::Kind::content),
             thought = text_of(piece.parts, AnswerPart::Kind::reasoning);
  Json calls = Json::array();
  for (const auto& part : piece.parts) {
    if (part.kind == AnswerPart::Kind::call) calls.push_back(call_json(part));
  }
  const bool only_calls = said.empty() && !calls.empty();
  Json message{{"role", "assistant"}, {"content", only_calls ? Json(nullptr) : Json(said)}, {"refusal", nullptr}};
  if (!thought.empty()) message["reasoning_content"] = thought;
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  Json choice{{"index", piece.index},
              {"message", std::move(message)},
              {"logprobs", logprobs(piece.scores)},
              {"finish_reason", nullable(piece.finish)}};
  if (wants_token_ids_) choice["token_ids"] = piece.token_ids;
  return choice;
}

}  // namespace flotilla
