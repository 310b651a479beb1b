#include "pipeline/constraints.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"

namespace flotilla {
namespace {

constexpr std::size_t steps_waiting_max = 4096;  // far more than are ever under way

// Copies share what the library made; where it panicked in one of them, it does so in all.
bool works(const Constraint& program) {
  auto copy = program.copy();
  return copy && copy->mask();
}

}  // namespace

Constraints::Constraints(LoadTokenizer load)
    : load_(std::move(load)),
      done_(limits::requests_queued_max),
      compiling_(limits::requests_queued_max),
      masking_(steps_waiting_max) {}

Constraints::~Constraints() { done_.close({Code::closed, "[pipeline] the stage has ended"}); }

// --- On their way in -----------------------------------------------------------------------------

Status Constraints::compile(GenerateRequest request) {
  const RequestId id = request.id;
  if (waiting_.size() >= limits::requests_queued_max)
    return fail(Code::busy, "[pipeline] expected room for a constraint to compile but {} wait already; try again later",
                waiting_.size());
  if (waiting_.contains(id) || answers_.contains(id))
    return fail(Code::invalid_argument, "[pipeline] expected a new request but {} is already being answered", id.value);
  auto shared = std::make_shared<GenerateRequest>(std::move(request));
  FLOTILLA_TRY_STATUS(compiling_.post([this, shared] { (void)done_.push(compile_aside(std::move(*shared))); }));
  waiting_.emplace(id, false);
  return {};
}

std::optional<Constraints::Compiled> Constraints::take_compiled() {
  while (auto done = done_.try_pop()) {
    const RequestId id = done->compiled.request.id;
    const bool cancelled = waiting_.extract(id).mapped();
    if (cancelled) continue;
    if (done->compiled.status)
      answers_[id] = std::make_shared<Answer>(Answer{.program = std::move(done->program), .at = {}});
    return std::move(done->compiled);
  }
  return std::nullopt;
}

bool Constraints::cancel(RequestId id) {
  const auto waiting = waiting_.find(id);
  return waiting != waiting_.end() && !std::exchange(waiting->second, true);
}

std::vector<RequestId> Constraints::abandon() {
  std::vector<RequestId> ids;
  for (auto& [id, cancelled] : waiting_)
    if (!std::exchange(cancelled, true)) ids.push_back(id);
  return ids;
}

Constraints::Done Constraints::compile_aside(GenerateRequest request) {
  auto program = program_of(request);
  Done done{.compiled = {.request = std::move(request), .status = {}}, .program = {}};
  if (program) {
    done.program = *std::move(program);
  } else {
    done.compiled.status = fail(std::move(program).error());
  }
  return done;
}

// An end that the request does not stop at would be no end, and the answer endless.
Result<Constraints::Program> Constraints::program_of(const GenerateRequest& request) {
  if (!vocabulary_) {
    FLOTILLA_TRY(const auto tokenizer, load_());
    FLOTILLA_TRY(vocabulary_, ConstraintVocabulary::of(*tokenizer));
  }
  for (const TokenId end : vocabulary_->ends())
    if (!std::ranges::contains(request.stop_tokens, end))
      return fail(Code::invalid_argument,
                  "[pipeline] expected an answer with a constraint to stop at the model's own end but token {} is not "
                  "among its stop tokens; leave ignore_eos out",
                  end);
  return compiled(request.constraint);
}

Result<Constraints::Program> Constraints::compiled(const ConstraintSource& source) {
  const auto known = std::ranges::find(kept_, source, &Kept::source);
  if (known != kept_.end() && works(*known->program)) {
    std::rotate(known, known + 1, kept_.end());
    return kept_.back().program;
  }
  if (known != kept_.end()) kept_.erase(known);
  FLOTILLA_TRY_STATUS(make_room());
  FLOTILLA_TRY(auto made, Constraint::compile(*vocabulary_, source));
  kept_.push_back({source, std::make_shared<const Constraint>(std::move(made))});
  return kept_.back().program;
}

Status Constraints::make_room() {
  if (kept_.size() < limits::constraints_kept_max) return {};
  const auto unused = std::ranges::find_if(kept_, [](const Kept& kept) { return kept.program.use_count() == 1; });
  if (unused == kept_.end())
    return fail(Code::busy,
                "[pipeline] expected answers with at most {} different constraints at a time; try again later",
                limits::constraints_kept_max);
  kept_.erase(unused);
  return {};
}

// --- Running -------------------------------------------------------------------------------------

Status Constraints::Answer::follow(std::span<const TokenId> tokens) {
  if (!at) {
    FLOTILLA_TRY(at, program->copy());
  }
  auto status = at->follow(tokens);
  if (!status) at.reset();
  return status;
}

Result<TokenMask> Constraints::Answer::mask_after(std::span<const TokenId> tokens) {
  FLOTILLA_TRY_STATUS(follow(tokens));
  auto mask = at->mask();
  if (!mask) at.reset();
  return mask;
}

std::size_t Constraints::allowed_guesses(const GenerateRequest& request, std::span<const TokenId> answer,
                                         std::span<const TokenId> guesses) {
  const auto found = answers_.find(request.id);
  if (found == answers_.end() || !found->second->follow(answer)) return 0;
  return found->second->at->allowed(guesses);
}

void Constraints::begin(std::uint64_t step, std::span<const LogitsRow> rows) {
  auto asked = asked_of(rows);
  if (asked.empty()) return;
  auto promised = std::make_shared<std::promise<std::vector<RowMask>>>();
  under_way_.push_back({step, promised->get_future()});
  const auto posted =
      masking_.post([promised, count = rows.size(), asked = std::make_shared<std::vector<Asked>>(std::move(asked))] {
        promised->set_value(make_masks(*asked, count));
      });
  check(posted.has_value(), "there is room for the masks of all steps that are under way");
}

std::vector<Constraints::Asked> Constraints::asked_of(std::span<const LogitsRow> rows) const {
  std::vector<Asked> asked;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto& [sequence, request, tokens, generated, score_token, likeliest] = rows[row];
    if (score_token >= 0 || !request->constraint.any()) continue;
    const auto found = answers_.find(request->id);
    if (found == answers_.end()) continue;  // it has ended; whatever this row chooses is passed over
    if (asked.empty() || asked.back().answer != found->second)
      asked.push_back({.answer = found->second, .tokens = {}, .certain = generated, .first_row = row, .rows = 0});
    const auto answer = tokens.subspan(request->prompt.size());
    asked.back().tokens.assign(answer.begin(), answer.end());
    ++asked.back().rows;
  }
  return asked;
}

std::vector<RowMask> Constraints::make_masks(std::span<const Asked> asked, std::size_t rows) {
  std::vector<RowMask> masks(rows);
  for (const auto& [answer, tokens, certain, first_row, count] : asked) {
    for (std::size_t guesses = 0; guesses < count; ++guesses) {
      const auto so_far = std::span(tokens).first(certain + guesses);
      if (guesses > 0 && !masks[first_row + guesses - 1].mask->contains(so_far.back())) break;
      RowMask& row = masks[first_row + guesses];
      auto mask = answer->mask_after(so_far);
      if (!mask) {
        row.error = std::move(mask).error();
        break;
      }
      row.mask = *std::move(mask);
    }
  }
  return masks;
}

std::vector<RowMask> Constraints::masks(std::uint64_t step) {
  if (under_way_.empty() || under_way_.front().step != step) return {};
  auto masks = under_way_.front().masks.get();
  under_way_.pop_front();
  return masks;
}

void Constraints::forget(RequestId id) { answers_.erase(id); }

}  // namespace flotilla
