// POST /v1/completions: OpenAI's older dialect, prompt in, text out, no template.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "server/dialect.h"

namespace flotilla {

class OpenAiCompletions : public Dialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "prompt"; }
  std::string_view id_prefix() const override { return "cmpl-"; }
  std::string_view object(bool) const override { return "text_completion"; }
  std::optional<Json> opening(std::uint32_t) const override { return std::nullopt; }
  Json delta(const ChoicePiece& piece) const override { return choice(piece); }
  Json whole(const ChoicePiece& piece) const override { return choice(piece); }

 private:
  using PromptSource = std::variant<std::string, std::vector<TokenId>>;
  void read_prompts(JsonFields& fields);
  ApiResult<void> check_texts(const OpenModel& model) const;
  Json choice(const ChoicePiece& piece) const;
  Json logprobs(const std::vector<ScoredToken>& scores) const;

  std::vector<PromptSource> sources_;
  std::int32_t top_logprobs_ = -1;
  bool echo_ = false, wants_token_ids_ = false;
};

}  // namespace flotilla
