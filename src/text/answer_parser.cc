// Four states. Between parts white space means nothing and marks may come; in content a mark of a call may come
// anywhere; thoughts go on to their end mark; a call is held until it is complete.
#include "text/answer_parser.h"

#include <algorithm>
#include <utility>

namespace flotilla {
namespace {

using Kind = AnswerPart::Kind;

constexpr std::string_view white_space = " \t\r\n";

std::string_view without_space_after(std::string_view text) {
  const auto last = text.find_last_not_of(white_space);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

bool is_begun(std::string_view mark, std::string_view text) {
  return text.size() < mark.size() && mark.starts_with(text);
}

}  // namespace

AnswerParser::AnswerParser(AnswerReading reading) : reading_(std::move(reading)) {
  if (reading_.begun_thinking) state_ = State::reasoning;
}

AnswerParts AnswerParser::add(std::string_view text) {
  AnswerParts parts;
  if (reading_.calls == CallFormat::none && !reading_.thinks) {
    if (!text.empty()) parts.push_back({.kind = Kind::content, .text = std::string(text)});
    return parts;
  }
  held_ += text;
  while (step(parts, false)) {
  }
  return parts;
}

AnswerParts AnswerParser::finish() {
  AnswerParts parts;
  while (step(parts, true)) {
  }
  return parts;
}

bool AnswerParser::step(AnswerParts& parts, bool at_end) {
  switch (state_) {
    case State::between:
      return step_between(at_end);
    case State::content:
      return step_content(parts, at_end);
    case State::reasoning:
      return step_reasoning(parts, at_end);
    case State::call:
      return step_call(parts, at_end);
  }
  return false;
}

bool AnswerParser::step_between(bool at_end) {
  const auto begin = held_.find_first_not_of(white_space);
  if (begin == std::string::npos) {
    if (!at_end || held_.empty()) return false;
    if (!keeps_space_) held_.clear();
    state_ = State::content;
    return true;
  }
  const auto text = std::string_view(held_).substr(begin);
  const auto end_mark = after_call_ ? end_call_mark(reading_.calls) : std::string_view();
  const auto think = reading_.thinks && !begun_ ? think_mark : std::string_view();
  if (!at_end && (is_begun(end_mark, text) || is_begun(think, text))) return false;
  if (!end_mark.empty() && text.starts_with(end_mark)) {
    held_.erase(0, begin + end_mark.size());
    return true;
  }
  if (after_call_ && reading_.calls == CallFormat::llama && text.starts_with(';')) {
    held_.erase(0, begin + 1);
    return true;
  }
  if (!think.empty() && text.starts_with(think)) {
    held_.erase(0, begin + think.size());
    state_ = State::reasoning;
    return true;
  }
  if (reading_.calls == CallFormat::llama && text.starts_with('{')) {
    space_ = held_.substr(0, begin);
    held_.erase(0, begin);
    begin_call(0);
    return true;
  }
  if (!keeps_space_) held_.erase(0, begin);
  state_ = State::content;
  return true;
}

// Bytes at the end of what is held that may be a mark's beginning, with the white space before it.
std::size_t AnswerParser::held_bytes(std::string_view mark) const {
  const std::string_view text = held_;
  auto begun = std::min(text.size(), mark.size() - 1);
  while (begun > 0 && !text.ends_with(mark.substr(0, begun))) --begun;
  return text.size() - without_space_after(text.substr(0, text.size() - begun)).size();
}

bool AnswerParser::step_content(AnswerParts& parts, bool at_end) {
  const auto mark = call_mark(reading_.calls);
  const auto at = mark.empty() ? std::string::npos : held_.find(mark);
  if (at != std::string::npos) {
    const auto said = without_space_after(std::string_view(held_).substr(0, at)).size();
    space_ = held_.substr(said, at - said);
    say(parts, held_.substr(0, said));
    held_.erase(0, at);
    begin_call(mark.size());
    return true;
  }
  const auto kept = at_end || mark.empty() ? 0 : held_bytes(mark);
  say(parts, held_.substr(0, held_.size() - kept));
  held_.erase(0, held_.size() - kept);
  return false;
}

bool AnswerParser::step_reasoning(AnswerParts& parts, bool at_end) {
  if (!thought_) held_.erase(0, std::min(held_.find_first_not_of(white_space), held_.size()));
  const auto at = held_.find(end_think_mark);
  const bool ends = at != std::string::npos;
  const auto kept = ends || at_end ? 0 : held_bytes(end_think_mark);
  std::string_view thought = std::string_view(held_).substr(0, ends ? at : held_.size() - kept);
  if (ends || at_end) thought = without_space_after(thought);
  if (!thought.empty()) {
    append(parts, {.kind = Kind::reasoning, .text = std::string(thought)});
    thought_ = true;
  }
  if (!ends) {
    held_.erase(0, at_end ? held_.size() : thought.size());
    return false;
  }
  held_.erase(0, at + end_think_mark.size());
  begun_ = true;
  keeps_space_ = false;
  state_ = State::between;
  return true;
}

void AnswerParser::begin_call(std::size_t mark_bytes) {
  reader_.emplace(reading_.calls, mark_bytes, reading_.tools);
  state_ = State::call;
}

bool AnswerParser::step_call(AnswerParts& parts, bool at_end) {
  const auto outcome = reader_->read(held_);
  if (outcome == CallReader::Outcome::not_yet && !at_end) return false;
  if (outcome == CallReader::Outcome::calls) {
    held_.erase(0, reader_->bytes());
    for (auto& call : reader_->take_calls()) parts.push_back(std::move(call));
    begun_ = after_call_ = true;
    keeps_space_ = false;
    state_ = State::between;
    return true;
  }
  const auto bytes = outcome == CallReader::Outcome::no_call ? reader_->bytes() : held_.size();
  say(parts, std::exchange(space_, {}) + held_.substr(0, bytes));
  held_.erase(0, bytes);
  state_ = State::content;
  return true;
}

void AnswerParser::say(AnswerParts& parts, std::string text) {
  if (text.empty()) return;
  begun_ = true;
  append(parts, {.kind = Kind::content, .text = std::move(text)});
}

}  // namespace flotilla
