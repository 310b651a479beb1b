#include "server/generation.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <utility>

#include "base/request_log.h"
#include "base/units.h"
#include "base/words.h"
#include "server/key_scope.h"
#include "server/response_format.h"
#include "wire/frame.h"

namespace flotilla {

ApiError open_error(Error error, const std::string& model) {
  ApiError api = ApiError::from(std::move(error));
  api.param = "model";
  if (api.error.code == Code::not_found) {
    api.name = "model_not_found";
    if (api.error.message.empty())
      api.error.message = std::format("[server] expected a model we have but got {}", model);
  }
  return api;
}

ApiError GenerationHost::full() {
  const auto wait = turns.next(ReturnTurns::Clock::now());
  ApiError full = ApiError::from(
      {Code::busy, std::format("[server] expected at most {} answers at a time but {} are under way; try again in {} s",
                               limits.choices_running_max, choices_running, wait.count())});
  full.retry_after = wait;
  return full;
}

void GenerationHost::give_back(std::size_t choices) {
  choices_running -= choices;
  if (choices > 0) turns.freed(choices, ReturnTurns::Clock::now());
}

void Generation::start(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<Dialect> dialect,
                       std::shared_ptr<GenerationHost> host) {
  const auto generation = std::make_shared<Generation>(std::move(exchange), std::move(dialect), std::move(host));
  generation->exchange_->on_end([weak = generation->weak_from_this()](ExchangeEnd end) {
    if (const auto self = weak.lock()) self->end(end);
  });
  generation->read_body();
}

Generation::Generation(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<Dialect> dialect,
                       std::shared_ptr<GenerationHost> host)
    : exchange_(std::move(exchange)),
      dialect_(std::move(dialect)),
      host_(std::move(host)),
      meter_(host_->traffic),
      facts_{.number = std::format("{:016x}{:016x}", random_u64(), random_u64()),
             .created = std::chrono::system_clock::now()},
      step_began_(std::chrono::steady_clock::now()) {}

// --- From bytes to a running request -------------------------------------------------------------

// `work` holds no owner: `done`, which the loop destroys, keeps us alive until after it has run.
void Generation::read_body() {
  if (host_->is_full_for(1)) return turn_away();  // whatever it asks; a crowd must not cost the reading
  ++host_->choices_running;
  choices_counted_ = 1;  // until its prompts say how many more
  body_share_ = std::move(exchange_->request().body_share);
  host_->backend.run_aside(
      [this, body = std::move(exchange_->request().body), depth_max = host_->limits.json_depth_max] {
        if (ended_) return;
        if (auto json = parse_json(body, depth_max)) {
          order_ = dialect_->read(*json);
          if (order_) dialect_->keep_order(JsonText(body), *order_);
        } else {
          order_ = std::unexpected(ApiError::from(std::move(json).error()));
        }
      },
      [self = shared_from_this()] {
        if (self->ended_) return;
        if (!self->order_) return self->fail(self->order_.error());
        if (const auto recalled = self->dialect_->recall(); !recalled) return self->fail(recalled.error());
        self->open_model();
      });
}

void Generation::open_model() {
  if (order_->stream) {
    stream_ =
        std::make_shared<StreamWriter>(exchange_, host_->loop, host_->limits.stream_keepalive, dialect_->stream_type());
    stream_->watch_silence([weak = weak_from_this()] {
      const auto self = weak.lock();
      return self ? self->dialect_->silent(self->facts_, self->waits() ? "waiting" : "keep-alive") : std::string();
    });
  }
  facts_.model = order_->model;  // what the client called it, until we know better
  // Prompts share what was computed for them only among requests with the same key and salt: otherwise a quick first
  // token would tell what others have asked.
  if (order_->cache_prompt) cache_scope_ = key_scope(exchange_->request(), order_->cache_salt);
  host_->backend.open(order_->model, dialect_->use(),
                      [self = shared_from_this()](Result<std::shared_ptr<const OpenModel>> model) {
                        if (self->ended_) return;
                        if (!model) return self->fail(open_error(std::move(model).error(), self->order_->model));
                        self->make_prompts(std::move(*model));
                      });
}

void Generation::make_prompts(std::shared_ptr<const OpenModel> model) {
  model_ = std::move(model);
  facts_.model = model_->name;
  facts_.placement = model_->placement;
  time_step(facts_.opening);
  host_->backend.run_aside(
      [this] {
        if (ended_) return;
        prompts_ = dialect_->prompts(*model_);
        if (!prompts_) return;
        if (auto kept = constrain(*order_, *model_, *prompts_); !kept)
          prompts_ = std::unexpected(std::move(kept).error());
      },
      [self = shared_from_this()] {
        if (self->ended_) return;
        if (!self->prompts_) return self->fail(self->prompts_.error());
        if (auto order = self->check_order(); !order) return self->fail(order.error());
        self->submit();
      });
}

// What could not be checked before the model was known.
ApiResult<void> Generation::check_order() const {
  for (const auto& prompt : *prompts_) {
    // The clients' own name for this case, or OpenAI's words in its message, are what lets them shorten the
    // conversation and try again.
    if (prompt.tokens.size() + 1 > model_->context_tokens) {
      return api_fail(
          Code::context_length, dialect_->prompt_field(),
          "[server] expected a prompt and an answer that fit {}'s context of {} tokens but got a prompt of {} tokens "
          "and a wish for {}; shorten the prompt or load the model with a larger context: this model's maximum context "
          "length is {} tokens",
          model_->name, model_->context_tokens, prompt.tokens.size(), order_->tokens_max.value_or(1),
          model_->context_tokens);
    }
  }
  for (const auto& [token, bias] : order_->sampling.logit_bias) {
    if (std::cmp_greater_equal(token, model_->tokenizer->size())) {
      return api_fail(Code::invalid_argument, "logit_bias", "[server] expected token ids below {} but got {}",
                      model_->tokenizer->size(), token);
    }
  }
  return check_bytes();
}

// Every choice takes its prompt along. They leave in one turn of the loop, so together they must fit a connection.
ApiResult<void> Generation::check_bytes() const {
  std::size_t bytes = 0, tokens = 0;
  for (const auto& prompt : *prompts_) {
    bytes += (frame_header_bytes + encode(request_for(prompt, 0)).size()) * order_->choices;
    tokens += prompt.tokens.size();
  }
  if (bytes <= host_->limits.request_bytes_max) return {};
  return api_fail(
      Code::invalid_argument, dialect_->prompt_field(),
      "[server] expected the choices of one request, each with its prompt, to take at most {} but got {} for "
      "{} tokens in {} prompts and n of {}; send fewer prompts at a time or ask for fewer choices",
      format_bytes(host_->limits.request_bytes_max), format_bytes(bytes), tokens, prompts_->size(), order_->choices);
}

GenerateRequest Generation::request_for(const Prompt& prompt, std::uint32_t choice) const {
  GenerateRequest request;
  request.id = RequestId{random_u64()};
  request.placement = model_->placement;
  request.choice = choice;
  request.prompt = prompt.tokens;
  // A wish for more than fits is not an error: the answer then ends with "length", as clients expect that always ask
  // for the most they know of.
  const auto left = model_->context_tokens - static_cast<std::uint32_t>(prompt.tokens.size());
  request.tokens_max = std::clamp(order_->tokens_max.value_or(left), 1u, left);
  if (!order_->ignore_eos) request.stop_tokens = model_->tokenizer->end_of_generation();
  request.sampling = order_->sampling;
  request.constraint = prompt.constraint;
  request.top_logprobs = order_->top_logprobs;
  request.cache_scope = cache_scope_;
  request.speculate = order_->speculate;
  request.prompt_logprobs = order_->echo && order_->top_logprobs >= 0;
  return request;
}

void Generation::turn_away() { fail(host_->full()); }

void Generation::submit() {
  const auto count = prompts_->size() * order_->choices;
  if (count == 0) return finish();
  if (host_->is_full_for(count - choices_counted_)) return turn_away();
  host_->choices_running += count - choices_counted_;
  choices_counted_ = choices_open_ = count;
  for (const auto& prompt : *prompts_) facts_.prompt_tokens += prompt.tokens.size();
  meter_.submitted(model_->name, facts_.prompt_tokens, count);
  std::vector<GenerateRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& prompt = (*prompts_)[i / order_->choices];
    requests.push_back(request_for(prompt, static_cast<std::uint32_t>(i % order_->choices)));
    running_.push_back(std::make_unique<Running>(
        Running{.id = requests.back().id,
                .choice = Choice(static_cast<std::uint32_t>(i), model_->tokenizer, *order_, prompt),
                .whole = {.index = static_cast<std::uint32_t>(i)}}));
  }
  body_share_ = nullptr;
  if (stream_) stream_->start_within(host_->limits.stream_grace);
  for (std::size_t i = 0; i < count && !ended_; ++i) {
    host_->backend.generate(std::move(requests[i]),
                            [self = shared_from_this(), i](const TokenEvent& event) { self->take(i, event); });
  }
}

// --- From tokens to an answer --------------------------------------------------------------------

void Generation::take(std::size_t index, const TokenEvent& event) {
  const auto self = shared_from_this();  // the backend may drop its callback in cancel(), which we may call below
  if (ended_ || running_[index]->done) return;
  auto& running = *running_[index];
  if (event.finish == FinishReason::failed || event.finish == FinishReason::cancelled) {
    return fail(ApiError::from(event.error.value_or(
        Error{Code::unavailable, "[server] the answer was broken off: its model was unloaded or lost; try again"})));
  }
  meter_.took(index, event);
  count(running, event);
  facts_.completion_tokens -= running.choice.tokens_generated();
  auto piece = running.choice.take(event);
  facts_.completion_tokens += running.choice.tokens_generated();
  if (!piece.parts.empty()) deliver(running, std::move(piece));
  if (ended_) return;
  if (event.finish != FinishReason::none) return finish_choice(running, event.finish);
  if (running.choice.ended_early()) {
    host_->backend.cancel(running.id);
    finish_choice(running, FinishReason::stop);
  }
}

// The first token of all ends the reading. What was reused counts once a prompt, by its first choice.
void Generation::count(Running& running, const TokenEvent& event) {
  if (facts_.reading.count() == 0 && event.index >= 0) time_step(facts_.reading);
  if (running.choice.index() % order_->choices != 0) return;
  facts_.cached_tokens -= std::exchange(running.prompt_reused, event.prompt_reused);
  facts_.cached_tokens += running.prompt_reused;
}

// For its model, which was lost, to be loaded again.
bool Generation::waits() const {
  return std::ranges::any_of(running_, [&](const auto& each) { return !each->done && host_->backend.waits(each->id); });
}

void Generation::deliver(Running& running, ChoicePiece piece) {
  if (!stream_) return running.whole.append(std::move(piece));
  stream_->send(dialect_->piece(facts_, piece));
}

// The finish goes in a piece of its own, after whatever was held back: clients that take the last text and the finish
// from one chunk exist, clients that lose one of them do too.
void Generation::finish_choice(Running& running, FinishReason reason) {
  running.done = true;
  meter_.finished(reason);
  --choices_open_;
  --choices_counted_;
  host_->give_back(1);
  ChoicePiece last{.index = running.choice.index()};
  auto rest = running.choice.rest();
  if (rest.parts.empty() && rest.scores.empty()) {
    last.token_ids = std::move(rest.token_ids);
  } else {
    deliver(running, std::move(rest));
  }
  last.finish = running.choice.finish_name(reason);
  last.stop = running.choice.stop();
  deliver(running, std::move(last));
  if (choices_open_ == 0) finish();
}

void Generation::finish() {
  if (ended_) return;
  time_step(facts_.writing);
  meter_.ended(facts_.cached_tokens);
  exchange_->request().account = meter_.words();
  if (stream_) {
    stream_->done(dialect_->end(facts_));
  } else {
    std::vector<ChoicePiece> choices;
    for (const auto& running : running_) choices.push_back(std::move(running->whole));
    exchange_->answer({.body = dialect_->whole(facts_, choices), .headers = {}});
  }
  release();
}

void Generation::fail(const ApiError& error) {
  if (ended_) return;
  meter_.failed(error.error.code);
  auto& request = exchange_->request();
  request.account = meter_.words();
  // What is the client's fault may name what it wrote, and is told to it alone.
  if (status_of(error) >= 500)
    log_request(LogLevel::warning, "server", request.id, "{}", without_room(error.error.message));
  if (stream_ && stream_->is_started()) {
    stream_->fail(dialect_->broken(facts_, error));
  } else if (stream_) {
    stream_->refuse(dialect_->refused(error));
  } else {
    exchange_->answer(dialect_->refused(error));
  }
  release();
}

void Generation::end(ExchangeEnd end) {
  if (ended_) return;
  const auto self = shared_from_this();
  if (end == ExchangeEnd::stopping) {
    return fail(ApiError::from({Code::unavailable, "[server] this node is stopping; ask another one"}));
  }
  meter_.abandoned();
  exchange_->request().account = meter_.words();
  if (stream_) stream_->drop();
  release();
}

// However it ended: nothing of it goes on.
void Generation::release() {
  ended_ = true;
  host_->give_back(std::exchange(choices_counted_, 0));
  for (const auto& running : running_) {
    if (!std::exchange(running->done, true)) host_->backend.cancel(running->id);
  }
  exchange_ = nullptr;  // a backend that is slow to forget us must not hold the connection
}

// --- What is told of it --------------------------------------------------------------------------

// From the end of the step before.
void Generation::time_step(std::chrono::nanoseconds& step) {
  const auto now = std::chrono::steady_clock::now();
  step = std::max(now - std::exchange(step_began_, now), std::chrono::steady_clock::duration(1));
}

}  // namespace flotilla
