// POST /v1/completions: OpenAI's older dialect, prompt in, text out, no template.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "server/openai_dialect.h"

namespace flotilla {

class OpenAiCompletions : public OpenAiDialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "prompt"; }

 protected:
  std::string_view id_prefix() const override { return "cmpl-"; }
  std::string_view object(bool) const override { return "text_completion"; }
  std::vector<Json> deltas(const ChoicePiece& piece) override { return {whole_choice(piece)}; }
  Json whole_choice(const ChoicePiece& piece) const override;

 private:
  using PromptSource = std::variant<std::string, std::vector<TokenId>>;
  void read_prompts(JsonFields& fields);
  ApiResult<void> check_texts(const OpenModel& model) const;
  Json logprobs(const std::vector<ScoredToken>& scores) const;

  std::vector<PromptSource> sources_;
  std::int32_t top_logprobs_ = -1;
  bool echo_ = false, wants_token_ids_ = false;
};

}  // namespace flotilla
