#include "server/ollama_dialect.h"

#include <format>
#include <utility>

#include "server/ollama_request.h"
#include "server/response_format.h"

namespace flotilla {
namespace {

using Kind = AnswerPart::Kind;

std::string as_line(const Json& json) { return dump(json) + "\n"; }

Json ollama_error(const ApiError& error) { return {{"error", error.error.message}}; }

}  // namespace

HttpAnswer ollama_error_answer(const ApiError& error) { return error_answer(error, dump(ollama_error(error))); }

std::string rfc3339(std::chrono::system_clock::time_point moment) {
  return std::format("{:%FT%TZ}", std::chrono::time_point_cast<std::chrono::microseconds>(moment));
}

ApiResult<GenerationOrder> OllamaDialect::read(const nlohmann::json& body) {
  JsonFields fields(body);
  auto order = read_order_of(fields, chat_);
  if (fields.fault()) return fault_of(fields);
  return order;
}

void OllamaDialect::keep_order(const JsonText& body, GenerationOrder& order) {
  keep_schema_order(body.at({"format"}), order);
  keep_tool_order(body.at({"tools"}), {"function", "parameters"}, chat_);
}

// Without messages the model alone was wanted, and is open by now.
ApiResult<std::vector<Prompt>> OllamaDialect::prompts(const OpenModel& model) {
  if (chat_.conversation.messages.empty()) return std::vector<Prompt>();
  return chat_prompts(chat_, model, prompt_field());
}

Json OllamaDialect::line(const AnswerFacts& facts, const AnswerParts& parts, bool done) const {
  Json line{{"model", facts.model}, {"created_at", rfc3339(std::chrono::system_clock::now())}};
  put(line, parts);
  line["done"] = done;
  return line;
}

// Durations are nanoseconds; an answer that calls tools has stopped, as Ollama says it.
Json OllamaDialect::last(const AnswerFacts& facts, const AnswerParts& parts, std::string_view finish) const {
  auto last = line(facts, parts, true);
  const bool is_load = chat_.conversation.messages.empty();
  last["done_reason"] = is_load ? "load" : finish == "length" ? "length" : "stop";
  if (is_load) return last;
  last["total_duration"] = facts.total().count();
  last["load_duration"] = facts.opening.count();
  last["prompt_eval_count"] = facts.prompt_tokens;
  last["prompt_eval_duration"] = facts.reading.count();
  last["eval_count"] = facts.completion_tokens;
  last["eval_duration"] = facts.writing.count();
  return last;
}

std::string OllamaDialect::whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) {
  return dump(choices.empty() ? last(facts, {}, {}) : last(facts, choices.front().parts, choices.front().finish));
}

std::string OllamaDialect::piece(const AnswerFacts& facts, const ChoicePiece& piece) {
  std::string lines;
  for (const auto& part : piece.parts) lines += as_line(line(facts, {part}, false));
  if (!piece.finish.empty()) finish_ = piece.finish;
  return lines;
}

std::string OllamaDialect::end(const AnswerFacts& facts) { return as_line(last(facts, {}, finish_)); }
std::string OllamaDialect::broken(const AnswerFacts&, const ApiError& error) { return as_line(ollama_error(error)); }

// Clients read every line as JSON: there are no comments, but a piece may say nothing.
std::string OllamaDialect::silent(const AnswerFacts& facts, std::string_view) {
  return as_line(line(facts, {}, false));
}

GenerationOrder OllamaChat::read_order_of(JsonFields& fields, ChatRequest& chat) {
  return read_ollama_chat(fields, chat);
}

void OllamaChat::put(Json& line, const AnswerParts& parts) const {
  Json message{{"role", "assistant"}, {"content", text_of(parts, Kind::content)}};
  if (auto thought = text_of(parts, Kind::reasoning); !thought.empty()) message["thinking"] = std::move(thought);
  Json calls = Json::array();
  for (const auto& part : parts) {
    if (part.kind != Kind::call) continue;
    const auto arguments = Json::parse(part.text, nullptr, /*allow_exceptions=*/false);
    calls.push_back(
        {{"id", part.id}, {"function", {{"index", calls.size()}, {"name", part.name}, {"arguments", arguments}}}});
  }
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  line["message"] = std::move(message);
}

GenerationOrder OllamaGenerate::read_order_of(JsonFields& fields, ChatRequest& chat) {
  return read_ollama_generate(fields, chat);
}

void OllamaGenerate::put(Json& line, const AnswerParts& parts) const {
  line["response"] = text_of(parts, Kind::content);
  if (auto thought = text_of(parts, Kind::reasoning); !thought.empty()) line["thinking"] = std::move(thought);
}

}  // namespace flotilla
