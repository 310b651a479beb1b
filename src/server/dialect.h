// A dialect: how one API's requests become orders and prompts, and how choices become its JSON. One object per request.
//
// read() and prompts() run on a helper thread, never both at once; everything else on the loop's.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "server/backend.h"
#include "server/choice.h"
#include "server/generation_order.h"
#include "server/openai_errors.h"

namespace flotilla {

class Dialect {
 public:
  virtual ~Dialect() = default;

  // Checks the body once; what it keeps for prompts() is its own.
  virtual ApiResult<GenerationOrder> read(const nlohmann::json& body) = 0;
  // At least one prompt, each with at least one token.
  virtual ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) = 0;

  virtual const char* prompt_field() const = 0;            // "messages": the field that a prompt too long is blamed on
  virtual std::string_view id_prefix() const = 0;          // "chatcmpl-"
  virtual std::string_view object(bool stream) const = 0;  // "chat.completion.chunk"
  virtual std::optional<Json> opening(
      std::uint32_t index) const = 0;                      // the first chunk of a choice, where it has its own
  virtual Json delta(const ChoicePiece& piece) const = 0;  // an item of `choices` in a chunk
  virtual Json whole(const ChoicePiece& piece) const = 0;  // an item of `choices` in a whole answer
};

// `text` may hold half a character's bytes; the bytes beside it do not lie.
Json bytes_json(std::string_view bytes);

}  // namespace flotilla
