#include "server/choice.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <iterator>

#include "base/ids.h"

namespace flotilla {
namespace {

// Of a token whose bytes may be part of a character: the character counts where its first byte stands.
std::size_t characters_in(std::string_view bytes) {
  return static_cast<std::size_t>(std::ranges::count_if(bytes, [](char c) { return (c & 0xC0) != 0x80; }));
}

// JSON knows no infinity; OpenAI writes this for "next to impossible".
float finite(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0f; }

template <class T>
void move_to_end(std::vector<T>& target, std::vector<T>& source) {
  std::ranges::move(source, std::back_inserter(target));
  source.clear();
}

// Of the marks that must be seen, those that the vocabulary would hide.
std::vector<TokenId> hidden_marks(const Tokenizer& tokenizer, const AnswerReading& reading) {
  std::vector<TokenId> tokens;
  for (const auto& mark : marks_of({.calls = reading.calls, .thinks = reading.thinks})) {
    if (const auto token = tokenizer.find(mark); token >= 0) tokens.push_back(token);
  }
  return tokens;
}

std::string new_call_id(bool is_short) {
  // Nine letters and digits are all that Mistral's templates take.
  return is_short ? std::format("{:09x}", random_u64() & 0xF'FFFF'FFFFu)
                  : std::format("call_{:016x}{:08x}", random_u64(), random_u64() & 0xFFFF'FFFFu);
}

}  // namespace

void ChoicePiece::append(ChoicePiece piece) {
  for (auto& part : piece.parts) flotilla::append(parts, std::move(part));
  move_to_end(scores, piece.scores);
  move_to_end(token_ids, piece.token_ids);
  if (!piece.finish.empty()) finish = piece.finish;
  if (!piece.stop.empty()) stop = std::move(piece.stop);
}

Choice::Choice(std::uint32_t index, std::shared_ptr<const Tokenizer> tokenizer, const GenerationOrder& order,
               const Prompt& prompt)
    : index_(index),
      tokenizer_(tokenizer),
      detokenizer_(tokenizer, order.stops, hidden_marks(*tokenizer, prompt.reading)),
      parser_(prompt.reading),
      wants_scores_(order.top_logprobs >= 0),
      echo_(order.echo),
      scores_only_(order.tokens_max == 0u),
      one_call_(!order.parallel_calls),
      short_ids_(prompt.reading.calls == CallFormat::mistral) {
  if (!echo_) return;
  prompt_text_ = prompt.text;
  if (!wants_scores_) return;
  for (const auto token : prompt.tokens) {
    prompt_scores_.push_back({.bytes = shown(token), .logprob = {}, .text_offset = characters_, .top = {}});
    characters_ += characters_in(tokenizer_->piece(token, false));
  }
}

std::string Choice::shown(TokenId token) const { return tokenizer_->piece(token, true); }

ScoredToken Choice::score(const TokenEvent& event) {
  ScoredToken scored{
      .bytes = shown(event.token), .logprob = finite(event.logprob), .text_offset = characters_, .top = {}};
  for (const auto& best : event.top) scored.top.emplace_back(shown(best.token), finite(best.logprob));
  return scored;
}

void Choice::take_prompt_score(const TokenEvent& event) {
  const auto position = event.index + static_cast<std::int64_t>(prompt_scores_.size());
  if (position <= 0 || position >= static_cast<std::int64_t>(prompt_scores_.size())) return;
  auto scored = score(event);
  auto& target = prompt_scores_[static_cast<std::size_t>(position)];
  target.logprob = scored.logprob;
  target.top = std::move(scored.top);
}

ChoicePiece Choice::open() {
  ChoicePiece piece{.index = index_};
  if (std::exchange(opened_, true)) return piece;
  if (!prompt_text_.empty()) piece.parts.push_back({.text = std::exchange(prompt_text_, {})});
  piece.scores = std::exchange(prompt_scores_, {});
  return piece;
}

ChoicePiece Choice::take(const TokenEvent& event) {
  if (event.has_token && event.index < 0) {
    take_prompt_score(event);
    return {.index = index_};
  }
  auto piece = open();
  if (!event.has_token) return piece;
  if (scores_only_) {
    budget_spent_ = true;
    return piece;
  }
  ++tokens_generated_;
  held_ids_.push_back(event.token);
  if (wants_scores_) {
    held_scores_.push_back(score(event));
    characters_ += characters_in(tokenizer_->piece(event.token, false));
  }
  if (const auto text = detokenizer_.add(event.token); !text.empty()) {
    if (auto parts = parser_.add(text); !parts.empty()) piece.append(release(std::move(parts)));
  }
  return piece;
}

ChoicePiece Choice::release(AnswerParts parts) {
  if (one_call_) {
    // What one text completed beyond the first call was not asked for.
    auto first = std::ranges::find(parts, AnswerPart::Kind::call, &AnswerPart::kind);
    if (first != parts.end()) parts.erase(std::next(first), parts.end());
  }
  for (auto& part : parts) {
    if (part.kind != AnswerPart::Kind::call) continue;
    part.id = new_call_id(short_ids_);
    ++calls_;
  }
  ChoicePiece piece{.index = index_, .parts = std::move(parts)};
  move_to_end(piece.scores, held_scores_);
  move_to_end(piece.token_ids, held_ids_);
  return piece;
}

ChoicePiece Choice::rest() {
  auto piece = open();
  if (detokenizer_.stopped()) held_scores_.clear();  // of the stop string, which is not part of the text
  AnswerParts parts;
  if (!one_call_ || calls_ == 0) {
    parts = parser_.add(detokenizer_.finish());
    for (auto& part : parser_.finish()) append(parts, std::move(part));
  }
  piece.append(release(std::move(parts)));
  return piece;
}

std::string_view Choice::finish_name(FinishReason reason) const {
  if (budget_spent_ || (reason == FinishReason::length && !detokenizer_.stopped())) return "length";
  return calls_ > 0 ? "tool_calls" : "stop";
}

}  // namespace flotilla
