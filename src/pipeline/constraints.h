// Decides which tokens the constrained answers of a head may choose, beside the step that computes their logits: a mask
// for a row takes tens of microseconds, and is ready before the row is.
//
// A request's constraint is compiled before the scheduler sees the request, on one thread; masks are made on another,
// so that a schema that takes long to compile holds up nobody's token. Those with one source share what was compiled.
// Where an answer has guesses in a step, each of its rows has the mask for the text up to it; behind a guess that is
// forbidden there is none, for no row behind it can count. Nothing here is kept of an answer but its place: all of it
// follows from the answer's tokens, so one that was begun elsewhere goes on as it would have there.
//
// In:  requests with a constraint, the rows of each step.   Out: the requests once compiled, masks.
// Owns: the answers' constraints.   Thread: the computing one; two of its own inside.
// Never: lets a constrained row be sampled without its mask, keeps more than limits::constraints_kept_max programs.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/token_mask.h"
#include "pipeline/aside.h"
#include "scheduler/scheduler.h"
#include "text/constraint.h"
#include "wire/generate.h"

namespace flotilla {

// What may be chosen for one row: anything where both are empty.
struct RowMask {
  std::optional<TokenMask> mask;
  std::optional<Error> error;  // the answer cannot go on
};

class Constraints {
 public:
  using LoadTokenizer = std::function<Result<std::shared_ptr<const Tokenizer>>()>;
  explicit Constraints(LoadTokenizer load);  // called on the compiling thread, with the first constraint
  ~Constraints();

  // --- On their way in
  Status compile(GenerateRequest request);  // busy where too many wait; otherwise it comes back
  struct Compiled {
    GenerateRequest request;
    Status status;
  };
  std::optional<Compiled> take_compiled();
  bool compiling() const { return !waiting_.empty(); }
  bool cancel(RequestId id);         // whether it had not come back yet; then it never will
  std::vector<RequestId> abandon();  // all that have not

  // --- Running
  // How many of these guesses the answer may go on with. Not while a step of it is under way.
  std::size_t allowed_guesses(const GenerateRequest& request, std::span<const TokenId> answer,
                              std::span<const TokenId> guesses);
  bool any() const { return !answers_.empty(); }  // answers with a constraint
  void begin(std::uint64_t step, std::span<const LogitsRow> rows);
  // Of the oldest step begun, row by row; waits for it. Empty where no row of it is constrained.
  std::vector<RowMask> masks(std::uint64_t step);
  void forget(RequestId id);

 private:
  using Program = std::shared_ptr<const Constraint>;
  struct Answer {
    Program program;
    std::optional<Constraint> at;  // empty: not begun, or spent by an error
    Status follow(std::span<const TokenId> tokens);
    Result<TokenMask> mask_after(std::span<const TokenId> tokens);
  };
  // Rows of one answer in a step, one behind the other.
  struct Asked {
    std::shared_ptr<Answer> answer;
    std::vector<TokenId> tokens;  // of the answer, guesses included
    std::size_t certain = 0;      // of those, before what the first row chooses
    std::size_t first_row = 0, rows = 0;
  };
  struct Done {
    Compiled compiled;
    Program program;
  };
  struct StepMasks {
    std::uint64_t step = 0;
    std::future<std::vector<RowMask>> masks;
  };

  static std::vector<RowMask> make_masks(std::span<const Asked> asked, std::size_t rows);
  std::vector<Asked> asked_of(std::span<const LogitsRow> rows) const;
  Done compile_aside(GenerateRequest request);
  Result<Program> program_of(const GenerateRequest& request);
  Result<Program> compiled(const ConstraintSource& source);
  Status make_room();

  // The compiling thread's.
  struct Kept {
    ConstraintSource source;
    Program program;
  };
  const LoadTokenizer load_;
  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  std::deque<Kept> kept_;  // the newest last

  // The computing thread's.
  std::map<RequestId, bool> waiting_;  // being compiled; true: cancelled meanwhile
  std::map<RequestId, std::shared_ptr<Answer>> answers_;
  std::deque<StepMasks> under_way_;

  BoundedQueue<Done> done_;
  Aside compiling_, masking_;  // last: their threads use the others
};

}  // namespace flotilla
