// POST /v1/messages and /v1/messages/count_tokens: Anthropic's dialect, with its named events and its form of errors.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/chat_request.h"
#include "server/dialect.h"
#include "server/json_body.h"

namespace flotilla {

HttpAnswer anthropic_error_answer(const ApiError& error);

class AnthropicMessages : public Dialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  void keep_order(const JsonText& body, GenerationOrder& order) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "messages"; }
  std::string whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) override;
  std::string piece(const AnswerFacts& facts, const ChoicePiece& piece) override;
  std::string end(const AnswerFacts& facts) override;
  std::string broken(const AnswerFacts& facts, const ApiError& error) override;
  std::string silent(const AnswerFacts& facts, std::string_view why) override;
  std::string_view stream_type() const override;
  HttpAnswer refused(const ApiError& error) const override { return anthropic_error_answer(error); }

 private:
  std::string begin(const AnswerFacts& facts);
  std::string part(const AnswerPart& part);
  std::string close_block();

  ChatRequest chat_;
  // Of a stream: the block that is open, and what its end will say.
  bool begun_ = false;
  std::optional<AnswerPart::Kind> open_;
  std::size_t blocks_ = 0;
  std::string_view finish_;
  std::string stop_;
};

// The same body, answered with how many tokens its prompt has.
class AnthropicCount : public AnthropicMessages {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  std::string whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) override;

 private:
  std::size_t tokens_ = 0;
};

}  // namespace flotilla
