// A model's tokens as constraints see them: a tree of their bytes, and which of them end an answer. Made once per
// model; for a vocabulary of 150,000 tokens it takes a fraction of a second and some 30 MB.
//
// Thread: immutable after construction; any.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

struct FlotillaVocabulary;

namespace flotilla {

class ConstraintVocabulary {
 public:
  // unsupported where no token ends an answer: nothing could be kept to then.
  static Result<std::shared_ptr<const ConstraintVocabulary>> of(const Tokenizer& tokenizer);
  // One of single bytes that knows the tokenizer's control tokens by their texts: enough to tell whether a constraint
  // compiles, and made in a millisecond. Its token ids mean nothing.
  static Result<std::shared_ptr<const ConstraintVocabulary>> of_bytes(const Tokenizer& tokenizer);
  ~ConstraintVocabulary();
  ConstraintVocabulary(const ConstraintVocabulary&) = delete;
  ConstraintVocabulary& operator=(const ConstraintVocabulary&) = delete;

  std::uint32_t size() const { return size_; }
  const std::vector<TokenId>& ends() const { return ends_; }  // sorted
  const FlotillaVocabulary* get() const { return made_; }

 private:
  struct Words;
  static Result<std::shared_ptr<const ConstraintVocabulary>> make(const Words& words);
  ConstraintVocabulary(FlotillaVocabulary* made, std::uint32_t size, std::vector<TokenId> ends)
      : made_(made), size_(size), ends_(std::move(ends)) {}

  FlotillaVocabulary* const made_;
  const std::uint32_t size_;
  const std::vector<TokenId> ends_;
};

}  // namespace flotilla
