// First come, first admitted to a slot, one step at a time. A step holds the rows of every answer under way, then a
// chunk of one waiting prompt (chunk_size), the one whose turn it is (reading_turns), and of others only what fits
// whole: so answers never stall behind a long prompt, and nobody's first token waits for the rows of someone else's.
//
// Roads not taken: several steps in flight (a ring of n stages computes n-1 stages' worth of idleness with one stream,
// but a token depends on the one before, so it only helps with several streams), and preemption (a slot is reserved for
// its whole context on admission, so a running answer never runs out of room).
#include "scheduler/scheduler.h"

#include <algorithm>
#include <deque>
#include <ranges>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "scheduler/chunk_size.h"
#include "scheduler/draft_window.h"
#include "scheduler/kv_slots.h"
#include "scheduler/prompt_lookup.h"
#include "scheduler/reading_turns.h"

namespace flotilla {
namespace {

// A request from submit() to its last event.
struct Sequence {
  GenerateRequest request;
  std::vector<TokenId> tokens;  // prompt and answer; in a step with guesses, those too
  SeqId slot;
  std::uint32_t reused = 0;    // positions that were in the cache on admission
  std::uint32_t computed = 0;  // positions in the cache once the step under way is done
  std::uint32_t generated = 0;

  // While the prompt is read.
  ReadingPace pace;
  std::optional<Scheduler::Now> overtaken_at;  // when rows of a later prompt were last read instead

  // Of the step under way, where it has only answers' rows.
  std::uint32_t guessed = 0;    // tokens at the end of `tokens` that are checked
  std::uint32_t confirmed = 0;  // positions whose tokens were right
  TokenId chosen = 0;           // the token that follows them all, where none was wrong
  bool went_wrong = false;      // a guess was: what came after it counts for nothing
  std::vector<TokenId> lookup;  // what the text itself says comes next; the guesses are its beginning
  std::uint32_t lookup_match = 0;

  bool cut = false;  // the caches hold positions of wrong guesses, from `computed` on
  DraftRecord record;
  bool ended = false;  // its last event is out; the struct lives on until the step under way is over

  std::uint32_t prompt_length() const { return static_cast<std::uint32_t>(request.prompt.size()); }
  std::uint32_t text_length() const { return prompt_length() + generated; }  // without guesses
  bool answering() const { return computed >= prompt_length(); }
  std::uint32_t prompt_left() const { return answering() ? 0 : prompt_length() - computed; }
};

// A row of the step under way that wants logits.
struct WantedRow {
  Sequence* sequence;
  std::uint32_t position;
  TokenId score_token;
};

class FifoScheduler final : public Scheduler {
 public:
  explicit FifoScheduler(const SchedulerOptions& options) : options_(options), slots_(options.sequences) {}

  Status submit(GenerateRequest request, Now) override;  // a deadline that has passed shows in the next step
  void cancel(RequestId id) override;
  std::vector<TokenEvent> fail_all(const Error& cause) override;
  std::optional<StepBatch> next(Epoch epoch, Now now) override;
  std::vector<LogitsRow> logits_rows() const override;
  std::vector<TokenEvent> complete(std::span<const RowResult> results, Now now) override;
  std::vector<TokenEvent> take_events() override { return std::exchange(events_, {}); }

  bool idle() const override { return ids_.empty(); }
  std::uint32_t running() const override { return static_cast<std::uint32_t>(running_.size()); }
  std::uint32_t queued() const override { return static_cast<std::uint32_t>(queue_.size()); }

 private:
  using Owned = std::unique_ptr<Sequence>;

  Status check_request(const GenerateRequest& request) const;
  bool past_deadline(const Sequence& sequence, Now now) const;
  void expire(Now now);
  void admit(StepBatch& batch);
  void add_rows(Sequence& sequence, std::uint32_t count, StepBatch& batch);
  void read_prompts(StepBatch& batch, Now now);
  std::uint32_t chunk_of(const Sequence& sequence, Now now) const;
  bool has_company(const Sequence& sequence, Now now) const;
  void guess(std::uint32_t rows);
  void accept(WantedRow row, const RowResult& result, std::vector<TokenEvent>& events);
  void accept_answer(Sequence& sequence, std::uint32_t position, TokenEvent event, std::vector<TokenEvent>& events);
  void end_guessing();
  TokenEvent end(Sequence& sequence, FinishReason reason, std::optional<Error> error = {});
  void release_ended();

  const SchedulerOptions options_;
  std::deque<Owned> queue_;
  std::vector<Owned> running_;         // in order of admission
  std::unordered_set<RequestId> ids_;  // of everything that has not had its last event
  KvSlots slots_;
  RowCosts costs_;
  ReadingTurns turns_;
  Now step_began_{};
  std::uint32_t answer_rows_ = 0;  // of the step under way; 0 where it has prompts' rows too
  Sequence* reading_ = nullptr;    // whose prompt alone the step under way reads, beside answers
  std::uint32_t reading_rows_ = 0;
  std::vector<WantedRow> wanted_;  // of the step under way
  std::vector<TokenEvent> events_;
  std::uint64_t step_ = 0;
  bool step_under_way_ = false;
};

Status FifoScheduler::submit(GenerateRequest request, Now) {
  FLOTILLA_TRY_STATUS(check_request(request));
  auto sequence = std::make_unique<Sequence>();
  const auto room = options_.context_tokens - static_cast<std::uint32_t>(request.prompt.size());
  request.tokens_max = std::min(request.tokens_max, room);
  sequence->tokens = request.prompt;
  sequence->request = std::move(request);
  ids_.insert(sequence->request.id);
  queue_.push_back(std::move(sequence));
  return {};
}

Status FifoScheduler::check_request(const GenerateRequest& request) const {
  if (request.prompt.empty() || request.tokens_max == 0)
    return fail(Code::invalid_argument,
                "[scheduler] expected a prompt and an answer of at least one token but got {} and {}",
                request.prompt.size(), request.tokens_max);
  if (request.prompt.size() >= options_.context_tokens)
    return fail(
        Code::context_length,
        "[scheduler] expected a prompt shorter than the context of {} tokens but got {}; shorten it or load the "
        "model with a larger context",
        options_.context_tokens, request.prompt.size());
  if (ids_.contains(request.id))
    return fail(Code::invalid_argument, "[scheduler] expected a new request but {} is already being answered",
                request.id.value);
  if (queue_.size() >= options_.requests_queued_max)
    return fail(Code::busy, "[scheduler] expected room in the queue but {} requests wait already; try again later",
                queue_.size());
  return {};
}

void FifoScheduler::cancel(RequestId id) {
  if (!ids_.contains(id)) return;
  const auto has_id = [&](const Owned& sequence) { return !sequence->ended && sequence->request.id == id; };
  if (const auto waiting = std::ranges::find_if(queue_, has_id); waiting != queue_.end()) {
    events_.push_back(end(**waiting, FinishReason::cancelled));
    queue_.erase(waiting);
    return;
  }
  events_.push_back(end(**std::ranges::find_if(running_, has_id), FinishReason::cancelled));
  if (!step_under_way_) release_ended();
}

std::vector<TokenEvent> FifoScheduler::fail_all(const Error& cause) {
  auto events = take_events();
  for (auto& sequence : running_)
    if (!sequence->ended) events.push_back(end(*sequence, FinishReason::failed, cause));
  for (auto& sequence : queue_) events.push_back(end(*sequence, FinishReason::failed, cause));
  queue_.clear();
  wanted_.clear();
  reading_ = nullptr;
  step_under_way_ = false;
  release_ended();
  slots_.forget();  // carried out or not, nobody knows
  return events;
}

std::optional<StepBatch> FifoScheduler::next(Epoch epoch, Now now) {
  check(!step_under_way_, "a step is completed before the next is asked for");
  expire(now);
  StepBatch batch{.epoch = epoch, .step = step_ + 1, .rows = {}, .free = {}, .truncate = {}, .copy_prefix = {}};
  admit(batch);
  if (running_.empty()) return std::nullopt;
  ++step_;
  const bool only_answers = std::ranges::all_of(running_, [](const Owned& s) { return s->answering(); });
  if (only_answers) guess(static_cast<std::uint32_t>(running_.size()));
  for (auto& sequence : running_)
    if (sequence->answering()) add_rows(*sequence, 1 + sequence->guessed, batch);
  answer_rows_ = only_answers ? static_cast<std::uint32_t>(batch.rows.size()) : 0;
  step_began_ = now;
  if (!only_answers) read_prompts(batch, now);
  step_under_way_ = true;
  return batch;
}

// A chunk of the prompt whose turn it is. Others join it only whole and within chunk_rows: more would make the first
// wait for what brings the others no token yet.
void FifoScheduler::read_prompts(StepBatch& batch, Now now) {
  std::vector<Sequence*> waiting;  // in order of admission
  std::vector<WaitingPrompt> described;
  for (auto& sequence : running_) {
    if (sequence->answering()) continue;
    waiting.push_back(sequence.get());
    described.push_back({sequence->request.request_class, sequence->prompt_left()});
  }
  const auto order = turns_.next(described);
  auto room = options_.step_rows_max - static_cast<std::uint32_t>(batch.rows.size());  // a waiting one leaves a row
  Sequence* const first = reading_ = waiting[order.front()];
  reading_rows_ = std::min(room, chunk_of(*first, now));
  add_rows(*first, reading_rows_, batch);

  room = std::min(room, chunk_rows) - std::min({reading_rows_, room, chunk_rows});
  std::size_t newest = order.front();
  for (const auto index : order | std::views::drop(1)) {
    const auto left = waiting[index]->prompt_left();
    if (left > room) continue;
    add_rows(*waiting[index], left, batch);
    room -= left;
    reading_ = nullptr;  // the step's time tells nothing of the first alone
    newest = std::max(newest, index);
  }
  for (std::size_t index = 0; index < newest; ++index)
    if (!waiting[index]->answering() && waiting[index] != first) waiting[index]->overtaken_at = now;
}

std::uint32_t FifoScheduler::chunk_of(const Sequence& sequence, Now now) const {
  const auto left = sequence.prompt_left();
  if (has_company(sequence, now)) return std::min(left, sequence.pace.chunk_in_company());
  return chunk_alone(sequence.computed - sequence.reused, left, options_.step_rows_max);
}

// Whether somebody would notice a long step with rows of this prompt. Nobody watches the answers of batch work.
bool FifoScheduler::has_company(const Sequence& sequence, Now now) const {
  if (sequence.overtaken_at && now - *sequence.overtaken_at < company_time) return true;
  return std::ranges::any_of(running_, [](const Owned& other) {
    return other->answering() && other->request.request_class == RequestClass::interactive;
  });
}

// Looks up what may follow each answer, and adds as much of it as pays beside the `rows` that the step has anyway.
void FifoScheduler::guess(std::uint32_t rows) {
  for (auto& owned : running_) {
    Sequence& sequence = *owned;
    if (!sequence.request.speculate) continue;
    const auto left = sequence.request.tokens_max - sequence.generated;  // at least 1
    const Draft draft = look_up(sequence.tokens, std::min(drafts_max, left - 1));
    sequence.lookup.assign(draft.tokens.begin(), draft.tokens.end());
    sequence.lookup_match = draft.match;
    const auto room = std::min<std::size_t>(sequence.lookup.size(), options_.step_rows_max - rows);
    sequence.guessed =
        draft_window(costs_, sequence.record.chance(draft.match), rows, static_cast<std::uint32_t>(room));
    sequence.tokens.insert(sequence.tokens.end(), sequence.lookup.begin(), sequence.lookup.begin() + sequence.guessed);
    rows += sequence.guessed;
    sequence.confirmed = sequence.computed + 1;
  }
}

// Only a prompt's last row and an answer's rows need logits; all of a prompt's rows where it is to be scored.
void FifoScheduler::add_rows(Sequence& sequence, std::uint32_t count, StepBatch& batch) {
  if (std::exchange(sequence.cut, false)) batch.truncate.push_back({sequence.slot, sequence.computed});
  for (std::uint32_t row = 0; row < count; ++row) {
    const auto position = sequence.computed++;
    const bool answers = position + 1 + sequence.guessed >= sequence.tokens.size();
    const bool wants_logits = answers || sequence.request.prompt_logprobs;
    batch.rows.push_back({sequence.slot, position, sequence.tokens[position], wants_logits});
    if (wants_logits) wanted_.push_back({&sequence, position, answers ? TokenId{-1} : sequence.tokens[position + 1]});
  }
}

std::vector<LogitsRow> FifoScheduler::logits_rows() const {
  std::vector<LogitsRow> rows;
  rows.reserve(wanted_.size());
  for (const auto& [sequence, position, score_token] : wanted_) {
    const auto tokens = std::span(sequence->tokens).first(position + 1);
    const auto generated = position + 1 > sequence->prompt_length() ? position + 1 - sequence->prompt_length() : 0;
    rows.push_back({sequence->slot, &sequence->request, tokens, generated, score_token});
  }
  return rows;
}

std::vector<TokenEvent> FifoScheduler::complete(std::span<const RowResult> results, Now now) {
  check(step_under_way_, "a step was given out");
  check(results.size() == wanted_.size(), "every row that wanted logits has a result");
  if (answer_rows_ > 0) costs_.saw(answer_rows_, now - step_began_);
  if (auto* read = std::exchange(reading_, nullptr)) read->pace.saw(reading_rows_, now - step_began_);
  std::vector<TokenEvent> events;
  for (std::size_t row = 0; row < results.size(); ++row) accept(wanted_[row], results[row], events);
  end_guessing();
  wanted_.clear();
  step_under_way_ = false;
  release_ended();
  return events;
}

void FifoScheduler::accept(WantedRow row, const RowResult& result, std::vector<TokenEvent>& events) {
  Sequence& sequence = *row.sequence;
  if (sequence.ended) return;
  TokenEvent event{.id = sequence.request.id,
                   .index = 0,
                   .has_token = true,
                   .token = result.token,
                   .logprob = result.logprob,
                   .top = result.top,
                   .prompt_reused = sequence.reused,
                   .finish = FinishReason::none,
                   .error = {}};
  if (row.score_token < 0) return accept_answer(sequence, row.position, std::move(event), events);
  // The row at position p scores the token at p + 1; the last prompt token is -1.
  event.token = row.score_token;
  event.index = static_cast<std::int32_t>(row.position + 1) - static_cast<std::int32_t>(sequence.prompt_length());
  events.push_back(std::move(event));
}

// The row at `position` chose the token at position + 1, which may have been guessed.
void FifoScheduler::accept_answer(Sequence& sequence, std::uint32_t position, TokenEvent event,
                                  std::vector<TokenEvent>& events) {
  if (sequence.went_wrong) return;
  sequence.confirmed = position + 1;
  const auto ahead = sequence.tokens.size() - sequence.guessed;  // where guesses begin
  const auto next = std::size_t{position} + 1;
  if (next - ahead < sequence.lookup.size())
    sequence.record.saw(sequence.lookup_match, sequence.lookup[next - ahead] == event.token);
  if (std::ranges::contains(sequence.request.stop_tokens, event.token)) {
    events.push_back(end(sequence, FinishReason::stop));
    return;
  }
  const bool was_guessed = next < sequence.tokens.size();
  sequence.went_wrong = was_guessed && sequence.tokens[next] != event.token;
  if (was_guessed)
    sequence.tokens[next] = event.token;
  else
    sequence.chosen = event.token;
  event.index = static_cast<std::int32_t>(sequence.generated++);
  if (sequence.generated == sequence.request.tokens_max) event.finish = end(sequence, FinishReason::length).finish;
  events.push_back(std::move(event));
}

// Back to the text alone: wrong guesses go, from the caches with the sequence's next rows.
void FifoScheduler::end_guessing() {
  for (auto& owned : running_) {
    Sequence& sequence = *owned;
    if (sequence.guessed > 0) {
      sequence.tokens.resize(std::min<std::size_t>(sequence.tokens.size(), sequence.text_length()));
      sequence.cut = sequence.computed > sequence.confirmed;
      sequence.computed = sequence.confirmed;
    }
    if (sequence.tokens.size() < sequence.text_length()) sequence.tokens.push_back(sequence.chosen);
    sequence.guessed = 0;
    sequence.went_wrong = false;
    sequence.lookup.clear();
    slots_.hold(sequence.slot, std::span(sequence.tokens).first(sequence.computed));
  }
}

bool FifoScheduler::past_deadline(const Sequence& sequence, Now now) const {
  const auto deadline_ms = sequence.request.deadline_ms;
  if (deadline_ms == 0) return false;
  const auto now_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch() + options_.unix_offset);
  return now_ms.count() >= 0 && static_cast<std::uint64_t>(now_ms.count()) >= deadline_ms;
}

void FifoScheduler::expire(Now now) {
  const auto late = [&](Owned& sequence) {
    if (!past_deadline(*sequence, now)) return false;
    events_.push_back(
        end(*sequence, FinishReason::failed,
            Error{Code::timeout, std::format("[scheduler] expected an answer before the request's deadline "
                                             "but only {} of {} tokens were made; allow more time",
                                             sequence->generated, sequence->request.tokens_max)}));
    return true;
  };
  std::erase_if(queue_, late);
  for (auto& sequence : running_) late(sequence);
  release_ended();
}

// Interactive requests before batch requests, each class in the order in which it came.
void FifoScheduler::admit(StepBatch& batch) {
  while (!queue_.empty()) {
    auto chosen = std::ranges::find_if(
        queue_, [](const Owned& sequence) { return sequence->request.request_class == RequestClass::interactive; });
    if (chosen == queue_.end()) chosen = queue_.begin();
    Sequence& sequence = **chosen;
    // The last token is always computed, for its logits; of a scored prompt every token.
    const auto reuse_max = sequence.request.prompt_logprobs ? 0 : sequence.prompt_length() - 1;
    const auto claim = slots_.claim(sequence.request.prompt, sequence.request.cache_scope, reuse_max, batch);
    if (!claim) return;
    sequence.slot = claim->slot;
    sequence.reused = sequence.computed = claim->reused;
    running_.push_back(std::move(*chosen));
    queue_.erase(chosen);
  }
}

// The last event of a sequence. The only place where a request leaves ids_, so it ends exactly once.
TokenEvent FifoScheduler::end(Sequence& sequence, FinishReason reason, std::optional<Error> error) {
  check(ids_.erase(sequence.request.id) == 1 && !sequence.ended, "a request ends once");
  sequence.ended = true;
  return {.id = sequence.request.id,
          .index = static_cast<std::int32_t>(sequence.generated),
          .has_token = false,
          .token = 0,
          .logprob = 0,
          .top = {},
          .prompt_reused = sequence.reused,
          .finish = reason,
          .error = std::move(error)};
}

void FifoScheduler::release_ended() {
  std::erase_if(running_, [&](const Owned& sequence) {
    if (!sequence->ended) return false;
    slots_.release(sequence->slot);
    return true;
  });
}

}  // namespace

std::unique_ptr<Scheduler> Scheduler::create(const SchedulerOptions& options) {
  check(options.sequences > 0 && options.sequences <= options.step_rows_max,
        "every running answer has a row in every step");
  check(options.context_tokens > 1, "a context holds a prompt and an answer");
  return std::make_unique<FifoScheduler>(options);
}

}  // namespace flotilla
