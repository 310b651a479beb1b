// POST /v1/chat/completions: OpenAI's chat dialect.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/dialect.h"
#include "text/chat_template.h"

namespace flotilla {

class OpenAiChat : public Dialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "messages"; }
  std::string_view id_prefix() const override { return "chatcmpl-"; }
  std::string_view object(bool stream) const override { return stream ? "chat.completion.chunk" : "chat.completion"; }
  std::optional<Json> opening(std::uint32_t index) const override;
  Json delta(const ChoicePiece& piece) const override;
  Json whole(const ChoicePiece& piece) const override;

 private:
  Json logprobs(const std::vector<ScoredToken>& scores) const;

  std::vector<ChatMessage> messages_;
  bool wants_logprobs_ = false, wants_token_ids_ = false;
};

// Messages as the templates know them; faults stay in `fields`. Roles: developer is system, function is tool; parts are
// joined; an assistant's tool calls, which templates of this version do not know, become text.
std::vector<ChatMessage> read_messages(JsonFields& fields);

}  // namespace flotilla
