// A dialect: how one API's requests become orders and prompts, and how what is answered becomes its bytes, whole or as
// a stream. One object per request.
//
// read(), keep_order() and prompts() run on a helper thread, one after the other; everything else on the loop's.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/answer_facts.h"
#include "server/api_error.h"
#include "server/backend.h"
#include "server/choice.h"
#include "server/generation_order.h"
#include "server/http_exchange.h"
#include "text/json_text.h"

namespace flotilla {

class Dialect {
 public:
  virtual ~Dialect() = default;

  virtual ModelUse use() const { return ModelUse::generate; }
  // Checks the body once; what it keeps for later is its own.
  virtual ApiResult<GenerationOrder> read(const nlohmann::json& body) = 0;
  // Right after read(), where that was well: the same body as the client wrote it, for what must keep the order of its
  // fields, which the parsed one has lost.
  virtual void keep_order(const JsonText&, GenerationOrder&) {}
  // Between the two, on the loop's thread: what other requests have left for it.
  virtual ApiResult<void> recall() { return {}; }
  // Each with at least one token. None where there is nothing to compute: the answer is then written at once.
  virtual ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) = 0;
  virtual const char* prompt_field() const = 0;  // "messages": the field that a prompt too long is blamed on

  // `choices`: all of all prompts, each with its finish.
  virtual std::string whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) = 0;

  // A stream: pieces as they come, then its end; or what says that it was broken off. Each may be several events.
  virtual std::string piece(const AnswerFacts& facts, const ChoicePiece& piece) = 0;
  virtual std::string end(const AnswerFacts& facts) = 0;
  virtual std::string broken(const AnswerFacts& facts, const ApiError& error) = 0;
  // Of a stream that is silent: `why` is a word, "keep-alive" or "waiting".
  virtual std::string silent(const AnswerFacts& facts, std::string_view why) = 0;
  virtual std::string_view stream_type() const = 0;  // of static storage

  // Instead of any of these: an answer with the status of an error.
  virtual HttpAnswer refused(const ApiError& error) const = 0;
};

}  // namespace flotilla
