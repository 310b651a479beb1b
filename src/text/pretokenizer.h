// Cuts text into the words inside which byte-level BPE merges: one row of patterns per `tokenizer.ggml.pre` name.
// Thread: immutable after construction; any.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flotilla {

class Pretokenizer {
 public:
  // unsupported for a name we do not know, with the names we know. A missing name ("" or "default") gives the degraded
  // splitter of old files, and a warning in the log.
  static Result<Pretokenizer> create(std::string_view name);
  ~Pretokenizer();
  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;

  // The words, in order; together they are the text. `text`: valid UTF-8.
  std::vector<std::string_view> split(std::string_view text) const;

  bool ignores_merges() const { return ignores_merges_; }  // a word that is a token stays whole
  bool adds_bos() const { return adds_bos_; }              // unless the file says otherwise

 private:
  struct Pattern;
  Pretokenizer();
  std::vector<std::unique_ptr<Pattern>> patterns_;
  bool ignores_merges_ = false, adds_bos_ = false;
};

}  // namespace flotilla
