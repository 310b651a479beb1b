// One choice of an answer: its tokens become what is said, thought and called, log-probabilities and a reason to end.
//
// Thread: the loop's. Pure, but that calls get random ids: events in, pieces out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/generation_order.h"
#include "text/answer_constraint.h"
#include "text/answer_parser.h"
#include "text/answer_part.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "wire/generate.h"

namespace flotilla {

struct ScoredToken {
  std::string bytes;                               // as in text; a control token's name; may be part of a character
  std::optional<float> logprob;                    // none for a prompt's first token
  std::size_t text_offset = 0;                     // characters of text (echoed prompt included) before it
  std::vector<std::pair<std::string, float>> top;  // descending
};

// A stretch of a choice: what one streamed chunk holds, or, joined, the whole.
struct ChoicePiece {
  std::uint32_t index = 0;
  AnswerParts parts = {};                // in the order in which they were written
  std::vector<ScoredToken> scores = {};  // of the tokens whose text this is; empty where not asked for
  std::vector<TokenId> token_ids = {};   // every token generated, also those of a stop string
  std::string_view finish = {};          // "stop", "length" or "tool_calls" in the last piece, empty before
  std::string stop = {};                 // in the last piece: the stop string that ended it

  bool empty() const { return parts.empty() && scores.empty() && token_ids.empty(); }
  void append(ChoicePiece piece);
};

struct Prompt {
  std::string text;  // for echo; empty where not asked for
  std::vector<TokenId> tokens;
  AnswerReading reading = {};             // of what answers it
  std::optional<AnswerRules> rules = {};  // of a chat: what its answer may be made of
  ConstraintSource constraint = {};       // what it keeps to
};

class Choice {
 public:
  Choice(std::uint32_t index, std::shared_ptr<const Tokenizer> tokenizer, const GenerationOrder& order,
         const Prompt& prompt);

  // What became certain with this event, and what belongs to it; empty where nothing did.
  ChoicePiece take(const TokenEvent& event);
  // A stop string, the one call that is allowed, or the budget of zero tokens that scoring a prompt has, ends it before
  // the model does.
  bool ended_early() const { return detokenizer_.stopped() || budget_spent_ || (one_call_ && calls_ > 0); }
  // What was held back, at the end; `finish` is set in the piece given last, which is another one.
  ChoicePiece rest();
  std::string_view finish_name(FinishReason reason) const;
  const std::string& stop() const { return detokenizer_.stop(); }

  std::uint32_t index() const { return index_; }
  std::uint32_t tokens_generated() const { return tokens_generated_; }

 private:
  ScoredToken score(const TokenEvent& event);
  void take_prompt_score(const TokenEvent& event);
  ChoicePiece open();
  ChoicePiece release(AnswerParts parts);
  std::string shown(TokenId token) const;

  const std::uint32_t index_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  Detokenizer detokenizer_;
  AnswerParser parser_;
  const bool wants_scores_, echo_, scores_only_, one_call_, short_ids_;
  bool opened_ = false, budget_spent_ = false;
  std::string prompt_text_;
  std::vector<ScoredToken> prompt_scores_;
  std::vector<ScoredToken> held_scores_;
  std::vector<TokenId> held_ids_;
  std::size_t characters_ = 0;
  std::uint32_t tokens_generated_ = 0, calls_ = 0;
};

}  // namespace flotilla
