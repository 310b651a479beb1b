// The form that OpenAI's older two endpoints share: an envelope of choices, server-sent events that end with [DONE].
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/dialect.h"
#include "server/json_body.h"

namespace flotilla {

class OpenAiDialect : public Dialect {
 public:
  void keep_order(const JsonText& body, GenerationOrder& order) override;
  std::string whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) override;
  std::string piece(const AnswerFacts& facts, const ChoicePiece& piece) override;
  std::string end(const AnswerFacts& facts) override;
  std::string broken(const AnswerFacts& facts, const ApiError& error) override;
  std::string silent(const AnswerFacts& facts, std::string_view why) override;
  std::string_view stream_type() const override;
  HttpAnswer refused(const ApiError& error) const override;

 protected:
  virtual std::string_view id_prefix() const = 0;                  // "chatcmpl-"
  virtual std::string_view object(bool stream) const = 0;          // "chat.completion.chunk"
  virtual std::vector<Json> deltas(const ChoicePiece& piece) = 0;  // items of `choices`, each for a chunk of its own
  virtual Json whole_choice(const ChoicePiece& piece) const = 0;   // an item of `choices` in a whole answer

  bool include_usage_ = false;

 private:
  Json envelope(const AnswerFacts& facts, bool stream, Json choices) const;
};

// `text` may hold half a character's bytes; the bytes beside it do not lie.
Json bytes_json(std::string_view bytes);

}  // namespace flotilla
