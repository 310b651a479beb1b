// Tokens to text as they come: never half a character, never a stop string, nothing held longer than it must be.
//
// What is generated continues the prompt, so no leading space is taken off (Tokenizer::decode does that, for whole
// texts).
//
// Thread: one. One per choice.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace flotilla {

class Detokenizer {
 public:
  // Where several stop strings come, the one that is complete first counts, however the tokens cut the text. Empty ones
  // are ignored. `shown`: control tokens that are text here, because somebody reads them as marks.
  Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stops,
              std::vector<TokenId> shown = {});

  // Text that is certain after this token: complete UTF-8 characters that cannot begin a stop string. Bytes that can
  // never become UTF-8 come out as U+FFFD.
  std::string add(TokenId token);
  // The rest, at the end of generation: what was held back for a stop string that did not come; half a character as
  // U+FFFD.
  std::string finish();
  // A stop string was reached: everything before it has been given out, nothing more will be. Check after add().
  bool stopped() const { return stopped_; }
  const std::string& stop() const { return stop_; }  // that one; empty before

 private:
  void take_characters(bool at_end);
  std::string release(bool at_end);
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> stops_;
  std::vector<TokenId> shown_;
  bool stopped_ = false;
  std::string stop_;
  std::string bytes_;  // of an incomplete character
  std::string held_;   // complete text that might begin a stop string
};

}  // namespace flotilla
