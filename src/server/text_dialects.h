// POST /tokenize and /detokenize, in llama.cpp's manner but with a model's name: a model's text side alone, nothing is
// computed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/dialect.h"
#include "server/json_body.h"

namespace flotilla {

// What both have in common: the answer is found where others make their prompts.
class TextDialect : public Dialect {
 public:
  ModelUse use() const override { return ModelUse::text_only; }
  std::string whole(const AnswerFacts&, std::span<const ChoicePiece>) override { return dump(answer_); }
  std::string piece(const AnswerFacts&, const ChoicePiece&) override { return {}; }
  std::string end(const AnswerFacts&) override { return {}; }
  std::string broken(const AnswerFacts&, const ApiError&) override { return {}; }
  std::string silent(const AnswerFacts&, std::string_view) override { return {}; }
  std::string_view stream_type() const override { return "application/json"; }
  HttpAnswer refused(const ApiError& error) const override { return error_answer(error); }

 protected:
  Json answer_ = Json::object();
};

class Tokenize : public TextDialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "content"; }

 private:
  std::string text_;
  bool add_special_ = false, parse_special_ = true, with_pieces_ = false;
};

class Detokenize : public TextDialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "tokens"; }

 private:
  std::vector<TokenId> tokens_;
};

}  // namespace flotilla
