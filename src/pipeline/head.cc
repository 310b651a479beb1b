#include "pipeline/head.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "engine/sampler.h"
#include "engine/softmax.h"
#include "pipeline/meter.h"
#include "pipeline/wanted_rows.h"
#include "scheduler/flight_window.h"
#include "scheduler/scheduler.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

SchedulerOptions scheduler_options(const PrepareStage& plan, Constraints& constraints) {
  const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
  return {
      .sequences = plan.sequences,
      .context_tokens = plan.context_tokens,
      .step_rows_max = limits::step_rows_max,
      .requests_queued_max = limits::requests_queued_max,
      .allowed_guesses = [&constraints](const auto& request, auto answer,
                                        auto guesses) { return constraints.allowed_guesses(request, answer, guesses); },
      .step_seconds = plan.step_seconds,
      .unix_offset = unix_now - Clock::now().time_since_epoch()};
}

// Where the ring is to tell what comes next but a request may come first, it is looked for so often.
constexpr std::chrono::milliseconds look_for_commands{1};

struct StepSent {
  std::uint64_t step = 0;
  std::size_t rows = 0, rows_back = 0;
  bool reads = false;  // prompts
  Clock::time_point begun;
  StepTiming timing;
};

class Head {
 public:
  Head(Stage& stage, Ring& ring, const Group& group, NodeLine& node, StepClock& clock, const PrepareStage& plan,
       Constraints::LoadTokenizer load_tokenizer)
      : stage_(stage),
        ring_(ring),
        node_(node),
        clock_(clock),
        plan_(plan),
        constraints_(std::move(load_tokenizer)),
        scheduler_(Scheduler::create(scheduler_options(plan, constraints_))),
        reading_(FlightWindow::Work::prompts, plan.stage_count),
        answering_(FlightWindow::Work::answers, plan.stage_count),
        meter_(node, plan, &ring, &group),
        wanted_(stage.spec().embedding_length) {
    ring_.listen_while_sending();
  }

  Status serve();
  void fail_all(const Error& cause, GoesOn goes_on);

 private:
  void wait_for_command();
  void obey(Command command);
  void cancel(RequestId id);
  void submit(GenerateRequest request);
  void schedule(GenerateRequest request);
  void refuse(RequestId id, Error cause, GoesOn goes_on = GoesOn::no);
  Status check_request(const GenerateRequest& request) const;
  FlightWindow& window_of(bool reads) { return reads ? reading_ : answering_; }
  std::uint32_t steps_wanted() { return window_of(scheduler_->reads_prompts()).steps(); }
  Result<bool> begin_step();
  Status send(const NextStep& next, Clock::time_point begun);
  Result<std::span<const float>> compute(const StepBatch& batch);
  Status finish_step(bool may_begin_another);
  Result<bool> receive_step(std::chrono::nanoseconds patience);
  Status check_returned(const StepSent& sent) const;
  Status sample_rows(std::uint64_t step);
  Status choose_likeliest(std::span<const std::uint32_t> numbers, std::span<const float> rows);
  Status sample_from_logits(std::span<const std::uint32_t> numbers, std::span<const float> rows,
                            std::span<const LogitsRow> wanted);
  Status check_finite(float best) const;
  void send_events(const std::vector<TokenEvent>& events);

  Stage& stage_;
  Ring& ring_;
  NodeLine& node_;
  StepClock& clock_;
  const PrepareStage& plan_;
  Constraints constraints_;
  const std::unique_ptr<Scheduler> scheduler_;
  FlightWindow reading_, answering_;
  Meter meter_;
  std::deque<StepSent> under_way_;
  ReceivedStep returned_;
  WantedRows wanted_;
  std::vector<RowMask> masks_;  // of the step that returned; empty where nothing in it is constrained
  std::vector<RowResult> results_;
  std::vector<float> scratch_;
  Clock::time_point finished_at_{};                  // the newest step that is done
  Clock::duration waited_{}, waited_for_nothing_{};  // for the ring since then; with rows for another step
};

// Of answers; guesses that did not hold and scores of a prompt are none.
std::uint64_t tokens_in(const std::vector<TokenEvent>& events) {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(events, [](const TokenEvent& event) { return event.has_token && event.index >= 0; }));
}

Status Head::serve() {
  while (!node_.ended()) {
    if (scheduler_->idle() && under_way_.empty()) {
      meter_.send_rest();
      wait_for_command();
    }
    while (auto command = node_.try_next()) obey(*std::move(command));
    while (auto compiled = constraints_.take_compiled()) {
      const auto& [request, status] = *compiled;
      status ? schedule(std::move(compiled->request)) : refuse(request.id, status.error());
    }
    FLOTILLA_TRY(const bool begun, begin_step());
    if (!under_way_.empty()) FLOTILLA_TRY_STATUS(finish_step(begun));
  }
  return {};
}

// A constraint that compiles is to be taken up soon, too.
void Head::wait_for_command() {
  if (constraints_.compiling()) {
    if (auto command = node_.next_within(look_for_commands)) obey(*std::move(command));
  } else if (auto command = node_.next()) {
    obey(*std::move(command));
  }
}

void Head::obey(Command command) {
  if (auto* request = std::get_if<GenerateRequest>(&command)) return submit(std::move(*request));
  if (const auto* unwanted = std::get_if<CancelRequest>(&command)) return cancel(unwanted->id);
  log(LogLevel::warning, "pipeline", "a command that came too late for this stage is passed over");
}

void Head::cancel(RequestId id) {
  if (!constraints_.cancel(id)) return scheduler_->cancel(id);
  TokenEvent cancelled{.id = id};
  cancelled.finish = FinishReason::cancelled;
  send_events({cancelled});
}

void Head::submit(GenerateRequest request) {
  const auto id = request.id;
  auto status = check_request(request);
  if (!status) return refuse(id, std::move(status).error());
  if (!request.constraint.any()) return schedule(std::move(request));
  status = constraints_.compile(std::move(request));
  if (!status) refuse(id, std::move(status).error());
}

void Head::schedule(GenerateRequest request) {
  const auto id = request.id;
  const auto status = scheduler_->submit(std::move(request), Clock::now());
  if (!status) refuse(id, status.error());
}

void Head::refuse(RequestId id, Error cause, GoesOn goes_on) {
  TokenEvent refused;
  refused.id = id;
  refused.finish = FinishReason::failed;
  refused.error = std::move(cause);
  refused.goes_on = goes_on;
  send_events({refused});
}

// Requests that have arrived and were not yet looked at end too.
void Head::fail_all(const Error& cause, GoesOn goes_on) {
  send_events(scheduler_->take_events());  // these have ended for causes of their own
  auto ended = scheduler_->fail_all(cause);
  for (auto& event : ended)
    if (event.finish == FinishReason::failed) event.goes_on = goes_on;
  send_events(ended);
  for (const RequestId id : constraints_.abandon()) refuse(id, cause, goes_on);
  while (const auto command = node_.try_next())
    if (const auto* request = std::get_if<GenerateRequest>(&*command)) refuse(request->id, cause, goes_on);
}

// What only this model can tell. A token outside the vocabulary would fail the whole step, and with it everyone's
// answer.
Status Head::check_request(const GenerateRequest& request) const {
  if (request.placement != plan_.placement)
    return fail(Code::unavailable, "[pipeline] expected a request for placement {:x} but got {:x}; ask again",
                plan_.placement.value, request.placement.value);
  const auto vocabulary = static_cast<TokenId>(stage_.spec().vocabulary);
  const auto known = [&](TokenId token) { return token >= 0 && token < vocabulary; };
  const auto biased = [](const auto& bias) { return bias.first; };
  if (!std::ranges::all_of(request.prompt, known) || !std::ranges::all_of(request.resumed, known) ||
      !std::ranges::all_of(request.sampling.logit_bias, known, biased))
    return fail(Code::invalid_argument,
                "[pipeline] expected tokens from 0 to {} but got one outside; tokenize with this "
                "model's own vocabulary",
                vocabulary - 1);
  return {};
}

// False where enough are under way or all requests wait for what these tell.
Result<bool> Head::begin_step() {
  const auto begun = Clock::now();
  const auto next = scheduler_->next(plan_.epoch, begun, steps_wanted());
  send_events(scheduler_->take_events());
  if (!next) return false;
  FLOTILLA_TRY_STATUS(send(*next, begun));
  return true;
}

Status Head::send(const NextStep& next, Clock::time_point begun) {
  const StepBatch& batch = next.batch;
  if (constraints_.any()) constraints_.begin(batch.step, scheduler_->logits_rows(batch.step));
  FLOTILLA_TRY(const auto values, compute(batch));
  const auto computed = Clock::now();
  FLOTILLA_TRY_STATUS(ring_.send(batch, values, stage_.spec().embedding_length));
  const bool alone = under_way_.empty();
  if (!alone) under_way_.back().timing.alone = false;
  under_way_.push_back({.step = batch.step,
                        .rows = batch.rows.size(),
                        .rows_back = batch.logits_rows(),
                        .reads = next.reads_prompts,
                        .begun = begun,
                        .timing = {.compute = computed - begun,
                                   .wait = Clock::now() - computed,
                                   .alone = alone,
                                   .position = batch.rows.empty() ? 0 : batch.rows.front().position}});
  return {};
}

Result<std::span<const float>> Head::compute(const StepBatch& batch) {
  const TimedStep timed(clock_, batch.rows.size());
  FLOTILLA_TRY(const auto embedded, stage_.embed(batch));
  return stage_.step(batch, embedded);
}

// The oldest step under way, where it is back or there is nothing better to do than to wait for it.
Status Head::finish_step(bool may_begin_another) {
  const bool full = under_way_.size() >= steps_wanted();
  const auto patience = full ? for_ever : may_begin_another ? std::chrono::nanoseconds{0} : look_for_commands;
  const auto waits_from = Clock::now();
  FLOTILLA_TRY(const bool is_back, receive_step(patience));
  const auto received = Clock::now();
  waited_ += received - waits_from;
  if (full && scheduler_->has_rows_for_another()) waited_for_nothing_ += received - waits_from;
  if (!is_back) return {};

  StepSent sent = under_way_.front();
  under_way_.pop_front();
  FLOTILLA_TRY_STATUS(check_returned(sent));
  FLOTILLA_TRY_STATUS(sample_rows(sent.step));
  const auto now = Clock::now();
  const auto events = scheduler_->complete(sent.step, results_, now);
  send_events(events);
  sent.timing.compute += now - received;
  sent.timing.wait += std::exchange(waited_, {});
  sent.timing.round = now - sent.begun;
  window_of(!sent.reads).interrupt();
  window_of(sent.reads)
      .saw({.rows = static_cast<std::uint32_t>(sent.rows),
            .round = sent.timing.round,
            .interval = now - std::max(finished_at_, sent.begun),
            .idle = std::exchange(waited_for_nothing_, {})});
  finished_at_ = now;
  meter_.add_step(sent.rows, tokens_in(events), sent.timing);
  meter_.send_if_due(now, scheduler_->running(), scheduler_->queued());
  return {};
}

Result<bool> Head::receive_step(std::chrono::nanoseconds patience) {
  const auto status = ring_.receive(returned_, patience);
  if (status) return true;
  if (status.error().code == Code::timeout) return false;
  return fail(status.error());
}

// Steps come back in the order in which they were sent, each with the rows that want logits, or the ring is not one.
Status Head::check_returned(const StepSent& sent) const {
  const auto& [rows, width, values] = returned_.activations;
  if (returned_.batch.step != sent.step)
    return fail(Code::corrupt, "[pipeline] expected step {} to come back but got step {}; the stage before is broken",
                sent.step, returned_.batch.step);
  if (rows != sent.rows_back || width != stage_.spec().embedding_length)
    return fail(Code::corrupt,
                "[pipeline] expected {} rows × {} to come back but got {} × {}; the stage before is broken",
                sent.rows_back, stage_.spec().embedding_length, rows, width);
  return {};
}

RowResult result_of(const LogitsRow& row, std::span<const float> logits, const RowMask* mask,
                    std::vector<float>& scratch) {
  const auto& request = *row.request;
  if (mask != nullptr && mask->error) return {.error = mask->error};
  SampledToken sampled;
  if (row.score_token >= 0) {
    sampled = score(logits, row.score_token, request.top_logprobs);
  } else {
    scratch.assign(logits.begin(), logits.end());
    sampled = sample(scratch, request.sampling, {.tokens = row.tokens, .prompt_length = request.prompt.size()},
                     request.choice, row.generated, request.top_logprobs,
                     mask != nullptr && mask->mask ? &*mask->mask : nullptr);
  }
  return {sampled.token, sampled.logprob, std::move(sampled.top)};
}

Status Head::sample_rows(std::uint64_t step) {
  const auto rows = scheduler_->logits_rows(step);
  const TimedStep timed(clock_, rows.size());
  results_.assign(rows.size(), {});
  masks_ = constraints_.masks(step);
  wanted_.clear();
  for (const auto& row : rows) wanted_.add(row.likeliest_is_enough);
  return wanted_.visit(
      returned_.activations.values,
      [&](auto numbers, auto values) { return sample_from_logits(numbers, values, rows); },
      [&](auto numbers, auto values) { return choose_likeliest(numbers, values); });
}

Status Head::sample_from_logits(std::span<const std::uint32_t> numbers, std::span<const float> rows,
                                std::span<const LogitsRow> wanted) {
  const std::size_t vocabulary = stage_.spec().vocabulary;
  FLOTILLA_TRY(const auto logits, stage_.logits(rows));
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    const auto of_row = logits.subspan(row * vocabulary, vocabulary);
    FLOTILLA_TRY_STATUS(check_finite(largest(of_row)));
    const RowMask* mask = masks_.empty() ? nullptr : &masks_[numbers[row]];
    results_[numbers[row]] = result_of(wanted[numbers[row]], of_row, mask, scratch_);
  }
  return {};
}

Status Head::choose_likeliest(std::span<const std::uint32_t> numbers, std::span<const float> rows) {
  FLOTILLA_TRY(const auto likeliest, stage_.likeliest(rows));
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    FLOTILLA_TRY_STATUS(check_finite(likeliest[row].logit));
    results_[numbers[row]].token = likeliest[row].token;
  }
  return {};
}

Status Head::check_finite(float best) const {
  if (std::isfinite(best)) return {};
  return fail(Code::internal, "[pipeline] expected numbers from the model but got none ({}); is {} damaged?", best,
              plan_.model);
}

void Head::send_events(const std::vector<TokenEvent>& events) {
  for (const auto& event : events) {
    node_.send(FrameKind::token_event, encode(event), plan_.epoch);
    if (event.finish != FinishReason::none) constraints_.forget(event.id);
  }
}

}  // namespace

Status run_head(Stage& stage, Ring& ring, const Group& group, NodeLine& node, StepClock& clock,
                const PrepareStage& plan, Constraints::LoadTokenizer load_tokenizer) {
  Head head(stage, ring, group, node, clock, plan, std::move(load_tokenizer));
  auto status = head.serve();
  if (node.ended()) {
    head.fail_all(node.end_cause(), GoesOn::no);
    return {};
  }
  if (!status) {
    head.fail_all(status.error(), GoesOn::broken_off);
    ring.send_lost(status.error());
  }
  return status;
}

}  // namespace flotilla
