// Renders a model's chat template by minijinja (rust/), bounded in steps and output. Templates come from downloaded
// files: they are interpreted, never trusted.
//
// Thread: immutable after construction; render() from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/answer_format.h"
#include "text/conversation.h"
#include "text/tokenizer.h"

namespace flotilla {

class ChatTemplate {
 public:
  // A source that is empty, too long or does not parse (the message has its line) gives a template that answers every
  // render with unsupported and the advice to use /v1/completions.
  static std::shared_ptr<const ChatTemplate> create(std::string source, std::shared_ptr<const Tokenizer> tokenizer);
  virtual ~ChatTemplate() = default;

  // The prompt's tokens. Text of messages and tools never yields control tokens, however it is written, nor what is
  // left of it where the template takes parts out; the template's own text does. Beyond that promise: a template that
  // picks single characters of a message by their place, or writes the "<" of a control token itself in place of a
  // message's "&lt;". BOS is added exactly once. invalid_argument where the template itself refuses (raise_exception),
  // with its words; too_large beyond template_steps_max or template_output_bytes_max.
  virtual Result<std::vector<TokenId>> render(const Conversation& conversation) const = 0;
  // The same as text, for people and tests.
  virtual Result<std::string> render_text(const Conversation& conversation) const = 0;
  // How what the model writes is marked. Where it knows no calls, tools are not to be offered.
  virtual const AnswerFormat& answer_format() const = 0;

  // Of messages alone.
  Result<std::vector<TokenId>> render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const {
    return render(Conversation{.messages = messages, .add_generation_prompt = add_generation_prompt});
  }
  Result<std::string> render_text(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const {
    return render_text(Conversation{.messages = messages, .add_generation_prompt = add_generation_prompt});
  }
};

}  // namespace flotilla
