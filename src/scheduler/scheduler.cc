// First come, first admitted to a slot. A step holds rows of answers, then a chunk of one waiting prompt (chunk_size),
// the one whose turn it is (reading_turns), and of others only what fits whole: so answers never stall behind a long
// prompt, and nobody's first token waits for the rows of someone else's.
//
// Road not taken: preemption (a slot is reserved for its whole context on admission, so a running answer never runs out
// of room).
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
#include "scheduler/reading_turns.h"
#include "scheduler/sequence.h"

namespace flotilla {
namespace {

// Of the queue or of those that run, and of the steps under way that have rows of it.
using Owned = std::shared_ptr<Sequence>;

// A row that wants logits.
struct WantedRow {
  Owned sequence;
  std::uint32_t position;
  TokenId score_token;
  bool likeliest_is_enough;
};

struct StepUnderWay {
  std::uint64_t number = 0;
  Scheduler::Now began{};
  bool alone = true;  // no other step was under way at any time
  std::vector<WantedRow> wanted;
  std::vector<Owned> answering;  // those whose next token it chooses
  bool reads = false;            // prompts too
  std::uint32_t rows = 0;
  Owned reading;  // whose prompt alone it reads, beside answers
  std::uint32_t reading_rows = 0;
};

class FifoScheduler final : public Scheduler {
 public:
  explicit FifoScheduler(const SchedulerOptions& options)
      : options_(options), slots_(options.sequences), costs_alone_(options.step_seconds) {}

  Status submit(GenerateRequest request, Now) override;  // a deadline that has passed shows in the next step
  void cancel(RequestId id) override;
  std::vector<TokenEvent> fail_all(const Error& cause) override;
  std::optional<NextStep> next(Epoch epoch, Now now, std::uint32_t steps_max) override;
  std::vector<LogitsRow> logits_rows(std::uint64_t step) const override;
  std::vector<TokenEvent> complete(std::uint64_t step, std::span<const RowResult> results, Now now) override;
  std::vector<TokenEvent> take_events() override { return std::exchange(events_, {}); }

  bool reads_prompts() const override;
  bool has_rows_for_another() const override { return reads_prompts() || answering() > steps_.size(); }
  bool idle() const override { return ids_.empty(); }
  std::uint32_t running() const override { return static_cast<std::uint32_t>(running_.size()); }
  std::uint32_t queued() const override { return static_cast<std::uint32_t>(queue_.size()); }

 private:
  Status check_request(const GenerateRequest& request) const;
  bool past_deadline(const Sequence& sequence, Now now) const;
  void expire(Now now);
  void admit(StepBatch& batch);
  bool admit(Owned& waiting, StepBatch& batch);
  bool waits_for_prefix(const Sequence& sequence) const;
  std::size_t answering() const;
  std::vector<Owned> answers_due(std::uint32_t steps_max) const;
  void guess(std::span<const Owned> answers);
  void add_rows(const Owned& sequence, std::uint32_t count, StepBatch& batch);
  void read_prompts(StepBatch& batch, Now now);
  std::uint32_t chunk_of(const Sequence& sequence, Now now) const;
  bool has_company(const Sequence& sequence, Now now) const;
  void learn_times(const StepUnderWay& step, Now now);
  void accept(const WantedRow& row, const RowResult& result, std::vector<TokenEvent>& events);
  void accept_answer(Sequence& sequence, std::uint32_t position, TokenEvent event, std::vector<TokenEvent>& events);
  TokenEvent end(Sequence& sequence, FinishReason reason, std::optional<Error> error = {});
  void release_ended();

  const SchedulerOptions options_;
  std::deque<Owned> queue_;
  std::vector<Owned> running_;         // in order of admission; none that has ended
  std::unordered_set<RequestId> ids_;  // of everything that has not had its last event
  KvSlots slots_;
  RowCosts costs_alone_, costs_in_line_;  // of steps that had the ring to themselves, as foretold, and of those behind
                                          // others, whose ways through the links nobody waits for
  ReadingTurns turns_;
  ReadingPace pace_;  // of the last step that read prompts
  std::deque<StepUnderWay> steps_;
  Now completed_at_{};  // the newest step that is done
  std::vector<TokenEvent> events_;
  std::uint64_t step_ = 0;
};

Status FifoScheduler::submit(GenerateRequest request, Now) {
  FLOTILLA_TRY_STATUS(check_request(request));
  auto sequence = std::make_shared<Sequence>();
  const auto room = options_.context_tokens - static_cast<std::uint32_t>(request.prompt.size());
  request.tokens_max = std::min(request.tokens_max, room);
  sequence->tokens = request.prompt;
  sequence->tokens.insert(sequence->tokens.end(), request.resumed.begin(), request.resumed.end());
  sequence->generated = static_cast<std::uint32_t>(request.resumed.size());
  sequence->request = std::move(request);
  ids_.insert(sequence->request.id);
  // Its context was larger where it was begun: what was told fills this one.
  if (sequence->generated >= sequence->request.tokens_max) {
    events_.push_back(end(*sequence, FinishReason::length));
    return {};
  }
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
  const auto has_id = [&](const Owned& sequence) { return sequence->request.id == id; };
  if (const auto waiting = std::ranges::find_if(queue_, has_id); waiting != queue_.end()) {
    events_.push_back(end(**waiting, FinishReason::cancelled));
    queue_.erase(waiting);
    return;
  }
  events_.push_back(end(**std::ranges::find_if(running_, has_id), FinishReason::cancelled));
  release_ended();
}

std::vector<TokenEvent> FifoScheduler::fail_all(const Error& cause) {
  auto events = take_events();
  for (auto& sequence : running_) events.push_back(end(*sequence, FinishReason::failed, cause));
  for (auto& sequence : queue_) events.push_back(end(*sequence, FinishReason::failed, cause));
  queue_.clear();
  steps_.clear();
  release_ended();
  slots_.forget();  // carried out or not, nobody knows
  return events;
}

std::optional<NextStep> FifoScheduler::next(Epoch epoch, Now now, std::uint32_t steps_max) {
  expire(now);
  if (steps_.size() >= steps_max) return std::nullopt;
  StepBatch batch{.epoch = epoch, .step = step_ + 1, .rows = {}, .free = {}, .truncate = {}, .copy_prefix = {}};
  admit(batch);
  const auto answers = answers_due(steps_max);
  const bool reads = reads_prompts();
  if (answers.empty() && !reads) return std::nullopt;
  const bool alone = steps_.empty();
  if (!alone) steps_.back().alone = false;
  steps_.push_back({.number = ++step_, .began = now, .alone = alone});
  if (!reads) guess(answers);
  for (const auto& sequence : answers) add_rows(sequence, 1 + sequence->guessed, batch);
  if (reads) read_prompts(batch, now);
  steps_.back().reads = reads;
  steps_.back().rows = static_cast<std::uint32_t>(batch.rows.size());
  return NextStep{.batch = std::move(batch), .reads_prompts = reads};
}

std::size_t FifoScheduler::answering() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(running_, [](const Owned& sequence) { return sequence->answering(); }));
}

// Where several steps are to be under way, each takes its part of the answers, so that they take turns and no stage
// waits for all of them.
std::vector<Owned> FifoScheduler::answers_due(std::uint32_t steps_max) const {
  const auto part = (answering() + steps_max - 1) / steps_max;
  std::vector<Owned> due;
  for (const auto& sequence : running_)
    if (sequence->answering() && !sequence->awaits_token && due.size() < part) due.push_back(sequence);
  return due;
}

bool FifoScheduler::reads_prompts() const {
  return std::ranges::any_of(running_, [](const Owned& sequence) { return !sequence->answering(); });
}

// A chunk of the prompt whose turn it is. Others join it only whole and within chunk_rows: more would make the first
// wait for what brings the others no token yet. In a crowd the last to join may do so in part.
void FifoScheduler::read_prompts(StepBatch& batch, Now now) {
  std::vector<Owned> waiting;  // in order of admission
  std::vector<WaitingPrompt> described;
  for (const auto& sequence : running_) {
    if (sequence->answering()) continue;
    waiting.push_back(sequence);
    described.push_back({sequence->request.request_class, sequence->reading_left()});
  }
  const auto order = turns_.next(described);
  auto room = options_.step_rows_max - static_cast<std::uint32_t>(batch.rows.size());  // a waiting one leaves a row
  StepUnderWay& step = steps_.back();
  const Owned first = step.reading = waiting[order.front()];
  const auto in_step = [&](std::uint32_t rows, std::uint32_t left) {
    const auto so_far = static_cast<std::uint32_t>(batch.rows.size());
    return std::min(in_fours(rows, left, so_far), options_.step_rows_max - so_far);
  };
  const bool crowd = waiting.size() >= crowd_min;
  const std::uint32_t chunk = crowd ? pace_.chunk_in_crowd() : chunk_rows;
  const auto left = first->reading_left();
  step.reading_rows = in_step(crowd ? std::min(chunk, left) : chunk_of(*first, now), left);
  add_rows(first, step.reading_rows, batch);

  room = std::min(room, chunk) - std::min({step.reading_rows, room, chunk});
  std::size_t newest = order.front();
  for (const auto index : order | std::views::drop(1)) {
    auto rows = waiting[index]->reading_left();
    if (rows > room && crowd && room >= chunk_rows_min) rows = room = in_step(room, rows);
    if (rows > room) continue;
    add_rows(waiting[index], rows, batch);
    room -= rows;
    step.reading = nullptr;  // the step's time tells nothing of the first alone
    newest = std::max(newest, index);
  }
  for (std::size_t index = 0; index < newest; ++index)
    if (!waiting[index]->answering() && waiting[index] != first) waiting[index]->overtaken_at = now;
}

std::uint32_t FifoScheduler::chunk_of(const Sequence& sequence, Now now) const {
  const auto left = sequence.reading_left();
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

// What may follow each answer, as much of it as pays beside the rows that the step has anyway.
void FifoScheduler::guess(std::span<const Owned> answers) {
  const RowCosts& costs = steps_.back().alone ? costs_alone_ : costs_in_line_;
  auto rows = static_cast<std::uint32_t>(answers.size());
  for (const auto& sequence : answers) {
    if (!sequence->request.speculate) continue;
    sequence->guess(costs, rows, options_.step_rows_max - rows, options_.allowed_guesses);
    rows += sequence->guessed;
  }
}

// Only a prompt's last row and an answer's rows need logits; all of a prompt's rows where it is to be scored. What is
// in the caches after this step may be used by the next one already: its orders travel behind these rows.
void FifoScheduler::add_rows(const Owned& owned, std::uint32_t count, StepBatch& batch) {
  Sequence& sequence = *owned;
  StepUnderWay& step = steps_.back();
  if (std::exchange(sequence.cut, false)) batch.truncate.push_back({sequence.slot, sequence.computed});
  for (std::uint32_t row = 0; row < count; ++row) {
    const auto position = sequence.computed++;
    const bool answers = position + 1 + sequence.guessed >= sequence.tokens.size();
    const bool wants_logits = answers || sequence.request.prompt_logprobs;
    const bool likeliest = answers && likeliest_is_enough(sequence.request);
    batch.rows.push_back({sequence.slot, position, sequence.tokens[position], wants_logits, likeliest});
    if (!wants_logits) continue;
    step.wanted.push_back({owned, position, answers ? TokenId{-1} : sequence.tokens[position + 1], likeliest});
  }
  if (sequence.answering()) {
    sequence.awaits_token = true;
    step.answering.push_back(owned);
  }
  slots_.hold(sequence.slot, sequence.certain());
}

std::vector<LogitsRow> FifoScheduler::logits_rows(std::uint64_t step) const {
  const auto under_way = std::ranges::find(steps_, step, &StepUnderWay::number);
  check(under_way != steps_.end(), "rows are asked for of a step under way");
  std::vector<LogitsRow> rows;
  rows.reserve(under_way->wanted.size());
  for (const auto& [sequence, position, score_token, likeliest] : under_way->wanted) {
    const auto tokens = std::span(sequence->tokens).first(position + 1);
    const auto generated = position + 1 > sequence->prompt_length() ? position + 1 - sequence->prompt_length() : 0;
    rows.push_back({sequence->slot, &sequence->request, tokens, generated, score_token, likeliest});
  }
  return rows;
}

std::vector<TokenEvent> FifoScheduler::complete(std::uint64_t number, std::span<const RowResult> results, Now now) {
  check(!steps_.empty() && steps_.front().number == number, "steps are completed in the order they were given out");
  StepUnderWay step = std::move(steps_.front());
  steps_.pop_front();
  check(results.size() == step.wanted.size(), "every row that wanted logits has a result");
  learn_times(step, now);
  std::erase_if(step.answering, [](const Owned& sequence) { return sequence->ended; });  // its slot is another's
  std::vector<TokenEvent> events;
  for (std::size_t row = 0; row < results.size(); ++row) accept(step.wanted[row], results[row], events);
  for (const auto& sequence : step.answering) {
    sequence->settle();
    slots_.hold(sequence->slot, sequence->certain());
  }
  release_ended();
  return events;
}

// A step behind others took as long as the ring did nothing else for it: from the end of the one before.
void FifoScheduler::learn_times(const StepUnderWay& step, Now now) {
  const auto took = now - std::max(step.began, completed_at_);
  if (!step.reads) (step.alone ? costs_alone_ : costs_in_line_).saw(step.rows, took);
  // The whole time: it is what those wait for who come meanwhile, and what answers beside it notice.
  if (step.reading) step.reading->pace.saw(step.reading_rows, now - step.began);
  if (step.reads) pace_.saw(step.rows, took);
  completed_at_ = now;
}

void FifoScheduler::accept(const WantedRow& row, const RowResult& result, std::vector<TokenEvent>& events) {
  Sequence& sequence = *row.sequence;
  if (sequence.ended || sequence.went_wrong) return;
  if (result.error) {
    events.push_back(end(sequence, FinishReason::failed, result.error));
    return;
  }
  TokenEvent event{.id = sequence.request.id,
                   .index = 0,
                   .has_token = true,
                   .token = result.token,
                   .logprob = result.logprob,
                   .top = result.top,
                   .prompt_reused = sequence.prompt_reused(),
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
  sequence.compare_with_lookup(position, event.token);
  if (std::ranges::contains(sequence.request.stop_tokens, event.token)) {
    events.push_back(end(sequence, FinishReason::stop));
    return;
  }
  event.index = static_cast<std::int32_t>(sequence.generated);
  sequence.add(position, event.token);
  if (sequence.generated == sequence.request.tokens_max) event.finish = end(sequence, FinishReason::length).finish;
  events.push_back(std::move(event));
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

// People's before batch work, the first to come first; who waits for a prefix lets others pass.
void FifoScheduler::admit(StepBatch& batch) {
  bool room = !queue_.empty();
  for (const auto of : {RequestClass::interactive, RequestClass::batch})
    for (auto& waiting : queue_) {
      if (!room) break;
      if (!waiting || waiting->request.request_class != of || waits_for_prefix(*waiting)) continue;
      room = admit(waiting, batch);
    }
  std::erase(queue_, nullptr);
}

// False where no slot is to be had. Moves it to those that run otherwise.
bool FifoScheduler::admit(Owned& waiting, StepBatch& batch) {
  Sequence& sequence = *waiting;
  const auto claim = slots_.claim(sequence.reading(), sequence.request.cache_scope, sequence.reuse_max(), batch);
  if (!claim) return false;
  sequence.slot = claim->slot;
  sequence.reused = sequence.computed = claim->reused;
  running_.push_back(std::move(waiting));
  return true;
}

// Another prompt that begins alike is being read, as that of another choice of the same request: what it has computed
// is copied then, instead of computing it twice.
bool FifoScheduler::waits_for_prefix(const Sequence& sequence) const {
  const auto& request = sequence.request;
  if (request.cache_scope == 0) return false;
  const auto known = slots_.common_prefix(sequence.reading(), request.cache_scope, sequence.reuse_max());
  return std::ranges::any_of(running_, [&](const Owned& other) {
    if (other->answering() || other->request.cache_scope != request.cache_scope ||
        other->request.request_class > request.request_class)
      return false;
    const auto prefix = sequence.reading().first(std::min(sequence.reuse_max(), other->reading_length()));
    const auto common = std::ranges::mismatch(prefix, other->reading()).in1 - prefix.begin();
    return common >= std::ptrdiff_t{known} + reuse_min;
  });
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
          .prompt_reused = sequence.prompt_reused(),
          .finish = reason,
          .error = std::move(error)};
}

// Whoever takes the slot next clears it by an order that travels behind the steps under way.
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
