#include "sim/scripted_runner.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace flotilla::sim {
namespace {

constexpr Duration pipe_time_min = 20us, pipe_time_max = 300us;
constexpr Duration load_time_min = 100ms, load_time_max = 1500ms;
constexpr Duration step_time_min = 5ms, step_time_max = 120ms;
constexpr Duration ring_patience = 30s, node_may_explain = 250ms;  // pipeline/ring.cc, pipeline/runner.cc
constexpr Duration end_time_max = 300ms;                           // from the end of the line to the end of the process
constexpr Duration reap_time_max = 20ms;                           // app/runner_process.cc
constexpr TokenId vocabulary = 100;

}  // namespace

TokenId next_token(const std::vector<TokenId>& prompt, const std::vector<TokenId>& answer, std::uint64_t seed) {
  std::uint64_t mixed = seed ^ 0x9e3779b97f4a7c15ull;
  const auto mix = [&](TokenId token) {
    mixed = (mixed ^ static_cast<std::uint64_t>(token)) * 0xbf58476d1ce4e5b9ull;
    mixed ^= mixed >> 29;
  };
  for (const TokenId token : prompt) mix(token);
  mix(-1);
  for (const TokenId token : answer) mix(token);
  return static_cast<TokenId>(mixed % vocabulary);
}

ScriptedRunner::ScriptedRunner(const Place& place, OnFrame on_frame, OnExit on_exit)
    : place_(place),
      on_frame_(std::move(on_frame)),
      on_exit_(std::move(on_exit)),
      step_time_(place.world.between(step_time_min, step_time_max)) {}

ScriptedRunner::~ScriptedRunner() {
  if (runs_) exit("");
}

void ScriptedRunner::later(Duration pause, void (ScriptedRunner::*what)()) {
  place_.world.after(pause, place_.life, [weak = weak_from_this(), what] {
    if (const auto self = weak.lock(); self && self->runs_) (self.get()->*what)();
  });
}

// --- The line to its node ------------------------------------------------------------------------

void ScriptedRunner::send(const Frame& frame) {
  World& world = place_.world;
  last_heard_ = std::max(last_heard_, world.now() + world.between(pipe_time_min, pipe_time_max));
  world.at(last_heard_, place_.life, [weak = weak_from_this(), frame] {
    if (const auto self = weak.lock(); self && self->runs_) self->hear(frame);
  });
}

bool ScriptedRunner::offer(const Frame& frame) {
  send(frame);
  return true;
}

// The process still ends what it is at. Whoever holds it here lets go of it now, so the event keeps it.
void ScriptedRunner::stop() {
  on_frame_ = nullptr;
  on_exit_ = nullptr;
  World& world = place_.world;
  world.after(world.between(0s, end_time_max), place_.life, [self = shared_from_this()] { self->exit(""); });
}

void ScriptedRunner::tell(FrameKind kind, Bytes body) {
  World& world = place_.world;
  last_told_ = std::max(last_told_, world.now() + world.between(pipe_time_min, pipe_time_max));
  world.at(last_told_, place_.life, [weak = weak_from_this(), frame = make_frame(kind, std::move(body), plan_->epoch)] {
    if (const auto self = weak.lock(); self && self->on_frame_) {
      const OnFrame on_frame = self->on_frame_;  // it may stop this
      on_frame(frame);
    }
  });
}

void ScriptedRunner::kill() {
  if (runs_) exit("was ended by signal 9");
}

void ScriptedRunner::exit(const std::string& how) {
  if (!std::exchange(runs_, false)) return;
  if (holds_stage_)
    place_.referee.on_stage_gone({plan_->placement, plan_->epoch, plan_->stage_index}, place_.life.machine);
  if (port_ != 0) place_.network.stop_listening(place_.life.machine, port_);
  for (const auto& connection : {upstream_, downstream_, caller_})
    if (connection) connection->close({Code::closed, "[sim] the process ended"});
  if (!on_exit_) return;
  World& world = place_.world;
  world.at(std::max(last_told_, world.now() + world.between(0s, reap_time_max)), place_.life,
           [weak = weak_from_this(), how] {
             if (const auto self = weak.lock(); self && self->on_exit_) std::exchange(self->on_exit_, nullptr)(how);
           });
}

void ScriptedRunner::hear(const Frame& frame) {
  switch (frame.header.kind) {
    case FrameKind::prepare_stage:
      if (auto plan = decode_prepare_stage(frame.body); plan && !plan_) load(*std::move(plan));
      return;
    case FrameKind::connect_ring:
      if (const auto order = decode_connect_ring(frame.body); order && order->epoch == plan_->epoch) connect(*order);
      return;
    case FrameKind::generate:
      if (auto request = decode_generate_request(frame.body)) generate(*std::move(request));
      return;
    case FrameKind::cancel:
      if (const auto cancel = decode_cancel(frame.body))
        std::erase_if(running_, [&](const Running& each) { return each.request.id == cancel->id; });
      return;
    default:
      place_.world.note("a runner of m{} was sent {}", place_.life.machine, to_string(frame.header.kind));
  }
}

// --- Its life ------------------------------------------------------------------------------------

void ScriptedRunner::load(PrepareStage plan) {
  check(plan.members == 1, "the simulated machines measure nothing, so none of them share a stage");
  plan_ = std::move(plan);
  later(place_.world.between(load_time_min, load_time_max), &ScriptedRunner::finish_loading);
}

void ScriptedRunner::finish_loading() {
  place_.world.note("m{} has loaded stage {} of {} of placement {:x}", place_.life.machine, plan_->stage_index,
                    plan_->stage_count, plan_->placement.value);
  holds_stage_ = true;
  place_.referee.on_stage_held({plan_->placement, plan_->epoch, plan_->stage_index}, place_.life.machine);
  const bool is_alone = plan_->stage_count == 1;
  if (!is_alone) {
    port_ = static_cast<std::uint16_t>(1024 + place_.world.below(60000));
    place_.network.listen(place_.life, port_, [weak = weak_from_this()](const std::shared_ptr<Connection>& caller) {
      if (const auto self = weak.lock()) self->on_caller(caller);
    });
  }
  tell(FrameKind::stage_ready, encode(StageReady{.placement = plan_->placement,
                                                 .epoch = plan_->epoch,
                                                 .stage_index = plan_->stage_index,
                                                 .member = plan_->member,
                                                 .port = port_}));
  if (is_alone) say_connected();
}

void ScriptedRunner::connect(const ConnectRing& order) {
  const auto machine = order.address == "127.0.0.1" ? place_.life.machine : Network::machine_at(order.address);
  later(ring_patience, &ScriptedRunner::give_up_ring);
  if (!machine) return;
  place_.network.dial(
      place_.life, *machine, order.port, ring_patience,
      [weak = weak_from_this()](const Result<std::shared_ptr<Connection>>& connection) {
        const auto self = weak.lock();
        if (!self || !self->runs_ || self->has_failed_) {
          if (connection) (*connection)->close({Code::closed, "[sim] the process ended"});
          return;
        }
        if (!connection) return self->on_neighbour_gone();
        self->downstream_ = *connection;
        self->downstream_->start([](const Frame&) {},
                                 [weak](const Error&) {
                                   if (const auto gone = weak.lock()) gone->on_neighbour_gone();
                                 });
        const PrepareStage& plan = *self->plan_;
        self->downstream_->send(
            make_frame(FrameKind::ring_hello,
                       encode(RingHello{plan.placement, plan.epoch, plan.stage_index, plan.ring_key}), plan.epoch));
        if (self->upstream_) self->say_connected();
      });
}

// Who calls is let in where it says what the stage before must say, and is hung up on else.
void ScriptedRunner::on_caller(const std::shared_ptr<Connection>& caller) {
  if (!runs_ || upstream_) return caller->close({Code::closed, "[sim] nobody is expected"});
  if (caller_) caller_->close({Code::timeout, "[sim] it did not say who it is"});
  caller_ = caller;
  const auto weak = weak_from_this();
  caller->start(
      [weak](const Frame& frame) {
        if (const auto self = weak.lock(); self && self->runs_) self->on_neighbour_frame(frame);
      },
      [weak, heard = std::weak_ptr(caller)](const Error&) {
        const auto self = weak.lock();
        if (self && self->upstream_ && self->upstream_ == heard.lock()) self->on_neighbour_gone();
      });
}

void ScriptedRunner::on_neighbour_frame(const Frame& frame) {
  if (frame.header.kind == FrameKind::ring_hello && !upstream_) {
    const auto hello = decode_ring_hello(frame.body);
    const std::uint32_t before = (plan_->stage_index + plan_->stage_count - 1) % plan_->stage_count;
    if (!hello || hello->placement != plan_->placement || hello->epoch != plan_->epoch ||
        hello->ring_key != plan_->ring_key || hello->stage_index != before)
      return std::exchange(caller_, nullptr)->close({Code::unauthorized, "[sim] another stage was expected"});
    upstream_ = std::exchange(caller_, nullptr);
    place_.network.stop_listening(place_.life.machine, port_);
    if (downstream_) say_connected();
    return;
  }
  if (frame.header.kind != FrameKind::step || frame.header.epoch != plan_->epoch) return;  // an earlier life's
  if (plan_->is_head) return finish_step();
  later(step_time_, &ScriptedRunner::pass_on);
}

void ScriptedRunner::on_neighbour_gone() {
  if (runs_ && !std::exchange(has_failed_, true)) fail();
}

void ScriptedRunner::say_connected() {
  has_ring_ = true;
  tell(FrameKind::ring_connected,
       encode(RingConnected{plan_->placement, plan_->epoch, plan_->stage_index, plan_->member}));
  if (plan_->is_head && !running_.empty()) step();
}

void ScriptedRunner::give_up_ring() {
  if (!has_ring_) on_neighbour_gone();
}

// First its requests, so that they go on elsewhere; then the ring, so that the others know; then, unless its node has
// said so itself, that the stage is lost.
void ScriptedRunner::fail() {
  has_failed_ = true;
  for (const Running& each : std::exchange(running_, {})) {
    TokenEvent event{.id = each.request.id};
    event.finish = FinishReason::failed;
    event.error = Error{Code::unavailable, "[sim] a machine that holds layers is gone"};
    event.goes_on = GoesOn::broken_off;
    tell(FrameKind::token_event, encode(event));
  }
  for (const auto& connection : {upstream_, downstream_, caller_})
    if (connection) connection->close({Code::closed, "[sim] the ring is broken"});
  place_.world.after(node_may_explain, place_.life, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->runs_) return;
    self->tell(FrameKind::stage_failed,
               encode(StageFailed{self->plan_->placement, self->plan_->epoch, self->plan_->stage_index,
                                  std::string(to_string(Code::unavailable)), "[sim] the ring is broken"}));
    self->exit("exited with code 1");
  });
}

// --- Computing -----------------------------------------------------------------------------------

void ScriptedRunner::generate(GenerateRequest request) {
  if (!has_ring_ || has_failed_) {
    TokenEvent refused{.id = request.id};
    refused.finish = FinishReason::failed;
    refused.error = Error{Code::unavailable, "[sim] the model is still loading; try again in a moment"};
    if (has_failed_) refused.goes_on = GoesOn::broken_off;
    return tell(FrameKind::token_event, encode(refused));
  }
  running_.push_back({request, request.resumed});
  step();
}

void ScriptedRunner::step() {
  if (std::exchange(is_stepping_, true)) return;
  later(step_time_, plan_->stage_count == 1 ? &ScriptedRunner::finish_step : &ScriptedRunner::pass_on);
}

void ScriptedRunner::pass_on() {
  if (downstream_ && !has_failed_) downstream_->send(make_frame(FrameKind::step, {}, plan_->epoch));
}

// All steps that came back give a token to each of those that have a place.
void ScriptedRunner::finish_step() {
  if (has_failed_) return;
  const std::size_t rows = std::min<std::size_t>(running_.size(), plan_->sequences);
  for (std::size_t row = 0; row < rows; ++row) {
    auto& [request, answer] = running_[row];
    TokenEvent event{.id = request.id, .index = static_cast<std::int32_t>(answer.size()), .has_token = true};
    event.token = next_token(request.prompt, answer, request.sampling.seed);
    answer.push_back(event.token);
    if (answer.size() >= request.tokens_max) event.finish = FinishReason::length;
    tell(FrameKind::token_event, encode(event));
  }
  std::erase_if(running_, [](const Running& each) { return each.answer.size() >= each.request.tokens_max; });
  is_stepping_ = false;
  if (!running_.empty()) step();
}

}  // namespace flotilla::sim
