#include "server/answer_meter.h"

#include <format>

namespace flotilla {

void AnswerMeter::submitted(const std::string& model, std::size_t prompt_tokens, std::size_t choices) {
  model_ = model;
  prompt_tokens_ = prompt_tokens;
  choices_open_ = choices;
  last_.resize(choices);
  counts_ = &traffic_->of(model_);
  counts_->prompt_tokens += prompt_tokens;
  counts_->running += choices;
}

void AnswerMeter::took(std::size_t choice, const TokenEvent& event) {
  if (!event.has_token || event.index < 0 || !counts_) return;  // below 0: of the prompt
  const Clock::time_point now = Clock::now();
  auto& last = last_[choice];
  if (last) {
    counts_->between_tokens.observe(std::chrono::duration<double>(now - *last).count());
  } else {
    counts_->first_token.observe(std::chrono::duration<double>(now - began_).count());
  }
  last = now;
  ++generated_tokens_;
  ++counts_->generated_tokens;
}

void AnswerMeter::finished(FinishReason reason) {
  if (!counts_) return;
  counts_->whole.observe(std::chrono::duration<double>(Clock::now() - began_).count());
  count_end(reason == FinishReason::length ? "length" : "stop");
}

void AnswerMeter::ended(std::size_t reused_tokens) {
  if (counts_) counts_->reused_tokens += reused_tokens;
}

void AnswerMeter::failed(Code code) {
  traffic_->failed(code);
  while (choices_open_ > 0) count_end("error");
}

void AnswerMeter::abandoned() {
  while (choices_open_ > 0) count_end("abort");
}

void AnswerMeter::count_end(std::string_view reason) {
  --choices_open_;
  --counts_->running;
  ++counts_->finished[reason];
}

std::string AnswerMeter::words() const {
  if (model_.empty()) return "";
  return std::format("{}, {} tokens in, {} out", model_, prompt_tokens_, generated_tokens_);
}

}  // namespace flotilla
