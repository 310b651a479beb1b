// POST /api/chat and /api/generate: Ollama's dialect, a line of JSON for each piece and what it took in the last.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/chat_request.h"
#include "server/dialect.h"
#include "server/json_body.h"

namespace flotilla {

HttpAnswer ollama_error_answer(const ApiError& error);  // {"error": "…"}

// Seconds and what is below of a moment, as RFC 3339 has them.
std::string rfc3339(std::chrono::system_clock::time_point moment);

class OllamaDialect : public Dialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  void keep_order(const JsonText& body, GenerationOrder& order) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  std::string whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) override;
  std::string piece(const AnswerFacts& facts, const ChoicePiece& piece) override;
  std::string end(const AnswerFacts& facts) override;
  std::string broken(const AnswerFacts& facts, const ApiError& error) override;
  std::string silent(const AnswerFacts& facts, std::string_view why) override;
  std::string_view stream_type() const override { return "application/x-ndjson"; }
  HttpAnswer refused(const ApiError& error) const override { return ollama_error_answer(error); }

 protected:
  virtual GenerationOrder read_order_of(JsonFields& fields, ChatRequest& chat) = 0;
  // Adds what was said, thought and called to a line.
  virtual void put(Json& line, const AnswerParts& parts) const = 0;

 private:
  Json line(const AnswerFacts& facts, const AnswerParts& parts, bool done) const;
  Json last(const AnswerFacts& facts, const AnswerParts& parts, std::string_view finish) const;

  ChatRequest chat_;
  std::string_view finish_;
};

class OllamaChat : public OllamaDialect {
 public:
  const char* prompt_field() const override { return "messages"; }

 protected:
  GenerationOrder read_order_of(JsonFields& fields, ChatRequest& chat) override;
  void put(Json& line, const AnswerParts& parts) const override;
};

class OllamaGenerate : public OllamaDialect {
 public:
  const char* prompt_field() const override { return "prompt"; }

 protected:
  GenerationOrder read_order_of(JsonFields& fields, ChatRequest& chat) override;
  void put(Json& line, const AnswerParts& parts) const override;
};

}  // namespace flotilla
