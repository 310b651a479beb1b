// Decides which rows run in the next step. Pure: no clock, socket or ggml; time arrives as `now`.
// In:  GenerateRequest, cancel, each step's sampled tokens.   Out: NextStep, TokenEvent.
// Owns: queued requests and what each KV slot holds (not the KV memory: engine).   Thread: the head's step thread only.
// Never: blocks, allocates beyond limits.h, reorders tokens of one sequence, has two unfinished steps of one answer.
//
// Several steps may be under way in a ring, so that every stage has one: pieces of a prompt follow each other without
// waiting, and the answers are split into parts that take turns. They are carried out everywhere in the order in which
// they were given out. So a slot is free for another as soon as its sequence has ended, and a prefix may be copied as
// soon as the rows that compute it are on their way: the orders that clear, cut and copy travel behind them.
//
// An answer may have several rows in a step: its last token and tokens guessed to follow it (prompt_lookup). Each row
// is sampled as if it were alone, and counts only where every guess before it was what sampling chose: so the answer is
// the one without guesses, sampled ones included (randomness is a function of seed and position), up to the rounding of
// kernels that compute one row and several rows differently.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "wire/generate.h"
#include "wire/step.h"

namespace flotilla {

using AllowedGuesses = std::function<std::size_t(const GenerateRequest& request, std::span<const TokenId> answer,
                                                 std::span<const TokenId> guesses)>;

struct SchedulerOptions {
  std::uint32_t sequences = 4;          // KV slots
  std::uint32_t context_tokens = 4096;  // per slot
  std::uint32_t step_rows_max = 512;    // rows of one step; decode rows go first, prompts are cut (chunk_size.h)
  std::size_t requests_queued_max = limits::requests_queued_max;
  // How many of the guesses may follow the answer so far, of a request with a constraint; absent: all.
  AllowedGuesses allowed_guesses = {};
  std::vector<double> step_seconds = {};  // foretold, of steps of 1, 2, 4, 8 … rows of answers (draft_window.h)
  // Added to a `now` gives the time since 1970, so that deadlines can be compared with it; read once by who has clocks.
  std::chrono::nanoseconds unix_offset{0};
};

// What travels round the ring, and what only the head wants to know of it.
struct NextStep {
  StepBatch batch;
  // Beside answers or not. The rows do not tell it: all those of a scored prompt want logits, as answers' do, and so
  // does a prompt's last row where it comes alone.
  bool reads_prompts = false;
};

// What the sampler needs to know about a row that wants logits, in the order of the batch's such rows.
struct LogitsRow {
  SeqId sequence;
  const GenerateRequest* request = nullptr;  // valid until the step's complete()
  std::span<const TokenId> tokens;           // prompt and answer up to this row, guesses included
  std::uint32_t generated = 0;               // tokens generated before the one this row chooses
  TokenId score_token = -1;                  // >= 0: this row scores a prompt token instead of sampling
  bool likeliest_is_enough = false;          // as in its StepRow
};

// One row's outcome, in the same order.
struct RowResult {
  TokenId token = 0;
  float logprob = 0;
  std::vector<TokenLogprob> top;
  std::optional<Error> error = {};  // there is no token: the answer cannot go on
};

class Scheduler {
 public:
  using Now = std::chrono::steady_clock::time_point;

  static std::unique_ptr<Scheduler> create(const SchedulerOptions& options);
  virtual ~Scheduler() = default;

  // context_length where the prompt leaves no room for an answer in a slot (tokens_max is cut down where only the
  // answer is too long), busy where the queue is full, invalid_argument for an empty prompt or an id that is still
  // being answered.
  virtual Status submit(GenerateRequest request, Now now) = 0;
  // The request's slot is free again in the very next batch. Unknown ids are ignored.
  virtual void cancel(RequestId id) = 0;
  // Every queued and running request ends with `cause`.
  virtual std::vector<TokenEvent> fail_all(const Error& cause) = 0;

  // The next step, or nullopt where `steps_max` are under way or everything waits for what they tell. Its number is one
  // more than that of the last. What an ended sequence leaves in its slot stays there for later prompts that begin
  // alike; a slot is cleared, cut or filled by orders of the step that first uses it again.
  virtual std::optional<NextStep> next(Epoch epoch, Now now, std::uint32_t steps_max) = 0;
  virtual std::vector<LogitsRow> logits_rows(std::uint64_t step) const = 0;  // of one under way
  // Of the oldest step under way. After fail_all() none is.
  virtual std::vector<TokenEvent> complete(std::uint64_t step, std::span<const RowResult> results, Now now) = 0;
  // Events that arose without a step: cancelled, past the deadline.
  virtual std::vector<TokenEvent> take_events() = 0;

  virtual bool reads_prompts() const = 0;  // as the next step would, but for requests that still wait
  // Whether one more step than are under way would find rows: of a prompt, or of answers that share a step now.
  virtual bool has_rows_for_another() const = 0;
  virtual bool idle() const = 0;
  virtual std::uint32_t running() const = 0;
  virtual std::uint32_t queued() const = 0;
};

}  // namespace flotilla
