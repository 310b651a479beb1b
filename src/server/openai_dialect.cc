#include "server/openai_dialect.h"

#include <format>
#include <utility>

#include "server/openai_errors.h"
#include "server/response_format.h"
#include "server/stream_events.h"

namespace flotilla {
namespace {

Json usage(const AnswerFacts& facts) {
  return {{"prompt_tokens", facts.prompt_tokens},
          {"prompt_tokens_details", {{"cached_tokens", facts.cached_tokens}}},
          {"completion_tokens", facts.completion_tokens},
          {"total_tokens", facts.prompt_tokens + facts.completion_tokens}};
}

}  // namespace

Json bytes_json(std::string_view bytes) {
  Json array = Json::array();
  for (const char c : bytes) array.push_back(static_cast<unsigned char>(c));
  return array;
}

Json OpenAiDialect::envelope(const AnswerFacts& facts, bool stream, Json choices) const {
  Json body{{"id", std::string(id_prefix()) + facts.number},
            {"object", object(stream)},
            {"created", facts.created_seconds()},
            {"model", facts.model},
            {"system_fingerprint", std::format("fp_{:016x}", facts.placement.value)},
            {"choices", std::move(choices)}};
  if (stream && include_usage_) body["usage"] = nullptr;
  return body;
}

void OpenAiDialect::keep_order(const JsonText& body, GenerationOrder& order) {
  keep_schema_order(body.at({"response_format", "json_schema", "schema"}), order);
}

std::string OpenAiDialect::whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) {
  Json list = Json::array();
  for (const auto& choice : choices) list.push_back(whole_choice(choice));
  auto answer = envelope(facts, false, std::move(list));
  answer["usage"] = usage(facts);
  return dump(answer);
}

std::string OpenAiDialect::piece(const AnswerFacts& facts, const ChoicePiece& piece) {
  std::string events;
  for (auto& delta : deltas(piece)) events += data_event(envelope(facts, true, Json::array({std::move(delta)})));
  return events;
}

std::string OpenAiDialect::end(const AnswerFacts& facts) {
  std::string events;
  if (include_usage_) {
    auto last = envelope(facts, true, Json::array());
    last["usage"] = usage(facts);
    events = data_event(last);
  }
  return events + "data: [DONE]\n\n";
}

std::string OpenAiDialect::broken(const AnswerFacts&, const ApiError& error) { return data_event(error_body(error)); }
std::string OpenAiDialect::silent(const AnswerFacts&, std::string_view why) { return comment_event(why); }
std::string_view OpenAiDialect::stream_type() const { return event_stream_type; }
HttpAnswer OpenAiDialect::refused(const ApiError& error) const { return error_answer(error); }

}  // namespace flotilla
