// What a tokenizer family does with a stretch of ordinary text, special tokens already taken out.
// Thread: immutable after construction; any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace flotilla {

class Segmenter {
 public:
  virtual ~Segmenter() = default;
  // Appends the tokens of `text`; `at_start`: nothing but a special token stands before it.
  virtual void encode(std::string_view text, bool at_start, std::vector<TokenId>& out) const = 0;
  // Bytes of a normal token.
  virtual std::string decode(TokenId token) const = 0;
};

}  // namespace flotilla
