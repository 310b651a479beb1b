// Decides which tokens may come next so that an answer keeps to a JSON schema, a regular expression or a grammar, by
// llguidance (rust/).
//
// In:  a client's text, the answer so far.   Out: a mask of tokens; where the answer is complete the tokens that end it
// are in it, where nothing else may follow, only those.   Owns: its place in the answer.   Thread: one at a time;
// copies share what was compiled, and locks for it.   Never: trusts the text. It is compiled within
// limits::constraint_*, each step is bounded, and a constraint that can go no further says so instead of allowing
// everything.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/constraint_source.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/token_mask.h"
#include "text/constraint_vocabulary.h"

struct FlotillaConstraint;

namespace flotilla {

class Constraint {
 public:
  // invalid_argument, with the reason, where the text is none of its kind, asks for what is not supported, cannot be
  // satisfied, or takes more than the limits allow.
  static Result<Constraint> compile(const ConstraintVocabulary& vocabulary, const ConstraintSource& source);
  Result<Constraint> copy() const;  // at the same place

  // Goes to where `answer` ends, from wherever it stands: back to where that differs from what it has seen, then on. So
  // guesses that did not hold need no word, and an answer begun elsewhere is taken up whole. No token of it ends the
  // answer. Unsupported where it does not keep to the constraint; then, as after a mask that failed, this one is spent.
  Status follow(std::span<const TokenId> answer);
  // Of what may come next. Unsupported where nothing may, or finding out takes more than a step may take.
  Result<TokenMask> mask();
  // How many of these, one after the other, may come next.
  std::size_t allowed(std::span<const TokenId> next) const;

 private:
  struct Free {
    void operator()(FlotillaConstraint* constraint) const;
  };
  Constraint(FlotillaConstraint* made, std::uint32_t vocabulary) : made_(made), vocabulary_(vocabulary) {}

  std::unique_ptr<FlotillaConstraint, Free> made_;
  std::uint32_t vocabulary_;
  std::vector<TokenId> followed_;
};

// Whether it compiles and can begin, without the model's whole vocabulary: what is asked before a request is taken.
Status check_constraint(const ConstraintSource& source, const Tokenizer& tokenizer);

}  // namespace flotilla
