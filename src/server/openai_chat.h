// POST /v1/chat/completions: OpenAI's chat dialect.
#pragma once

#include <map>
#include <vector>

#include "server/chat_request.h"
#include "server/openai_dialect.h"

namespace flotilla {

class OpenAiChat : public OpenAiDialect {
 public:
  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  void keep_order(const JsonText& body, GenerationOrder& order) override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "messages"; }

 protected:
  std::string_view id_prefix() const override { return "chatcmpl-"; }
  std::string_view object(bool stream) const override { return stream ? "chat.completion.chunk" : "chat.completion"; }
  std::vector<Json> deltas(const ChoicePiece& piece) override;
  Json whole_choice(const ChoicePiece& piece) const override;

 private:
  struct Told {  // of a choice, in a stream
    bool opened = false;
    std::uint32_t calls = 0;
  };
  Json logprobs(const std::vector<ScoredToken>& scores) const;
  Json chunk(const ChoicePiece& piece, Json delta) const;
  void add_part(const ChoicePiece& piece, const AnswerPart& part, std::vector<Json>& chunks);

  ChatRequest chat_;
  std::map<std::uint32_t, Told> choices_;
  bool wants_logprobs_ = false, wants_token_ids_ = false;
};

}  // namespace flotilla
