// Tells apart, as it comes, what a model says, what it thinks and what it calls. Text in, parts out; nothing of the
// text is lost but the marks themselves and white space beside them: what looks like a call and is none is content
// again.
//
// Thread: one. One per choice. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/answer_format.h"
#include "text/answer_part.h"
#include "text/call_reader.h"

namespace flotilla {

// How an answer is to be read. With neither thoughts nor calls to find, text passes as it comes.
struct AnswerReading {
  CallFormat calls = CallFormat::none;  // none also where no tools were offered
  bool thinks = false;
  bool begun_thinking = false;          // the prompt ended with <think>
  std::vector<std::string> tools = {};  // names of those offered
};

class AnswerParser {
 public:
  explicit AnswerParser(AnswerReading reading);

  // The parts that are certain with this text.
  AnswerParts add(std::string_view text);
  // The rest, at the end of generation.
  AnswerParts finish();

 private:
  enum class State : std::uint8_t { between, content, reasoning, call };
  bool step(AnswerParts& parts, bool at_end);
  bool step_between(bool at_end);
  bool step_content(AnswerParts& parts, bool at_end);
  bool step_reasoning(AnswerParts& parts, bool at_end);
  bool step_call(AnswerParts& parts, bool at_end);
  void begin_call(std::size_t mark_bytes);
  void say(AnswerParts& parts, std::string text);
  std::size_t held_bytes(std::string_view mark) const;

  const AnswerReading reading_;
  State state_ = State::between;
  std::string held_;   // not told yet
  std::string space_;  // taken off before a mark; content again where that is none
  std::optional<CallReader> reader_;
  bool begun_ = false;       // something was told: no thoughts begin any more
  bool keeps_space_ = true;  // at the start of the answer, before what is said
  bool after_call_ = false, thought_ = false;
};

}  // namespace flotilla
