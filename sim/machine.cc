#include "sim/machine.h"

#include <algorithm>
#include <utility>

namespace flotilla::sim {
namespace {

constexpr Duration copy_time_max = 400ms;
constexpr std::uint64_t first_incarnation = 1'700'000'000'000'000;
constexpr double planted = 0.02;  // of the events, where a bug is
constexpr Duration late_max = 5s;

NodeIdentity identity_of(const Fleet& fleet, std::size_t machine) {
  return {{.node = fleet.nodes[machine],
           .name = Network::host_of(machine),
           .release = "simulated",
           .cluster_port = cluster_port,
           .trust = TrustMode::trust_lan,
           .secret = {}},
          nullptr};
}

}  // namespace

std::optional<std::size_t> Fleet::machine_of(const NodeId& node) const {
  const auto found = std::ranges::find(nodes, node);
  return found == nodes.end() ? std::nullopt : std::optional<std::size_t>(found - nodes.begin());
}

void Fleet::start(std::size_t machine) {
  if (machines[machine]) return;
  network.power_on(machine);
  const Life life = world.begin_life(machine, [this, machine] { machines[machine]->turn(); });
  world.note("m{} starts", machine);
  machines[machine] = std::make_unique<Machine>(*this, life);
  machines[machine]->turn();
}

void Fleet::end(std::size_t machine, bool loses_power) {
  if (!machines[machine]) return;
  world.note("m{} {}", machine, loses_power ? "loses its power" : "crashes");
  network.end_life(machines[machine]->life(), loses_power);
  world.end_life(machine);
  machines[machine]->end_runners();
  machines[machine].reset();
}

Machine::Machine(Fleet& fleet, Life life)
    : fleet_(fleet), world_(fleet.world), life_(life), store_(fleet.model, fleet.has_file[life.machine]) {
  context_.emplace(loop_, store_, identity_of(fleet, life.machine));
  NodeContext& context = *context_;
  context.next_epoch = {first_incarnation + static_cast<std::uint64_t>(world_.seconds() * 1e6), 0};
  context.now = [this] { return world_.now(); };
  context.alarm = world_.alarms_of(life);
  context.random = [this] { return world_.random(); };
  context.spawn = [this](const RunnerSpawnOptions&, SpawnedRunner::OnFrame on_frame, SpawnedRunner::OnExit on_exit) {
    return spawn(std::move(on_frame), std::move(on_exit));
  };
  context.bulk = [this](const NodeId& peer, const std::string&, std::uint16_t) -> Result<std::unique_ptr<Link>> {
    const auto other = fleet_.machine_of(peer);
    if (!other || !fleet_.machines[*other] || !fleet_.network.reaches(life_.machine, *other))
      return fail(Code::timeout, "[sim] nobody answers there");
    return std::make_unique<CopyLink>(fleet_.has_file[*other]);
  };
  for (WorkPool* pool : {&context.copies, &context.aside})
    pool->take_over(
        [this](WorkPool::Work work) { world_.after(world_.between(0s, copy_time_max), life_, std::move(work)); });
  context.send = [this](const NodeId& to, const Frame& frame) { return send(to, frame); };
  context.offer = [this](const NodeId& to, const Frame& frame) { return offer(to, frame); };
  context.changed = [this] { publish(); };
  context.view = [this] { return cluster_->view(); };
  desks_.emplace(context, fleet.memory_bytes[life.machine], 1);

  published_ = describe();
  Cluster::Events events{.on_view = [] {},
                         .on_frame = [this](const NodeId& from, Frame frame) { on_frame(from, std::move(frame)); },
                         .on_lost =
                             [this](const NodeId& peer, const Error& cause) {
                               const auto lost = fleet_.machine_of(peer).value_or(0);
                               world_.note("m{} has lost m{}: {}", life_.machine, lost, cause.message);
                               if (fleet_.referee.plant == Plant::forgotten_member)
                                 fleet_.keepsakes[life_.machine].forgotten.insert(lost);
                               desks_->on_lost(peer, cause);
                             },
                         .on_bulk = nullptr};
  ClusterOptions options{
      .identity = context.identity, .cluster_port = cluster_port, .peers = {}, .remembered_peers = {}};
  cluster_ = Cluster::start(make_simulated_outside(fleet.network, fleet.nodes, fleet.keepsakes[life.machine], life),
                            std::move(options), published_, std::move(events), {});
}

void Machine::turn() {
  loop_.restart();
  loop_.poll();
}

NodeInfo Machine::describe() const {
  NodeInfo info;
  info.id = context_->identity.node;
  info.name = context_->identity.name;
  info.version = context_->identity.release;
  info.incarnation = context_->next_epoch.incarnation;
  info.revision = published_.revision;
  info.cluster_port = cluster_port;
  info.devices = {{.kind = "CPU", .description = "simulated", .threads = 1, .memory_bytes = 0}};
  desks_->describe(info, desks_->stages.memory_offered_bytes());
  return info;
}

void Machine::publish() {
  if (!cluster_) return;
  NodeInfo info = describe();
  if (info == published_) return;
  ++info.revision;
  published_ = info;
  cluster_->set_self(std::move(info));
}

bool Machine::send(const NodeId& to, const Frame& frame) {
  note_order(frame);
  if (to != context_->identity.node) return cluster_->send(to, frame);
  to_self(frame);
  return true;
}

Status Machine::offer(const NodeId& to, const Frame& frame) {
  if (const auto request = decode_generate_request(frame.body); frame.header.kind == FrameKind::generate && request)
    fleet_.on_sent(*request, to);
  if (to != context_->identity.node) return cluster_->offer(to, frame);
  to_self(frame);
  return {};
}

void Machine::to_self(const Frame& frame) {
  boost::asio::post(loop_, [this, frame] { on_frame(context_->identity.node, frame); });
}

// An order to prepare a stage is where an epoch begins; where that bug is planted, a second machine gets the head's.
void Machine::note_order(const Frame& frame) {
  if (frame.header.kind != FrameKind::prepare_stage) return;
  const auto order = decode_prepare_stage(frame.body);
  if (!order) return;
  fleet_.referee.on_epoch(order->placement, order->epoch, life_.machine);
  if (fleet_.referee.plant != Plant::two_heads || !order->is_head) return;
  for (const NodeId& node : fleet_.nodes)
    if (node != context_->identity.node && cluster_->send(node, frame)) return;
}

void Machine::on_frame(const NodeId& from, Frame frame) {
  epoch_at_hand_ = frame.header.epoch;
  if (frame.header.kind == FrameKind::token_event) plant_in(from, frame);
  desks_->on_frame(from, frame);
}

// The bugs on purpose that have to do with tokens.
void Machine::plant_in(const NodeId& from, const Frame& frame) {
  const Plant plant = fleet_.referee.plant;
  if (plant != Plant::old_epoch && plant != Plant::doubled_token) return;
  const auto event = decode_token_event(frame.body);
  if (!event || !event->has_token || event->finish != FinishReason::none || !world_.chance(planted)) return;
  const Duration pause = plant == Plant::doubled_token ? Duration(0s) : world_.between(100ms, late_max);
  world_.after(pause, life_, [this, from, event = *event, epoch = frame.header.epoch] {
    std::optional<std::pair<TokenEvent, NodeId>> taken(std::in_place, event, from);
    if (fleet_.referee.plant == Plant::doubled_token)
      ++taken->first.index;
    else
      taken = fleet_.renew(event, epoch);
    if (!taken) return;
    epoch_at_hand_ = epoch;
    Frame again = make_frame(FrameKind::token_event, encode(taken->first), epoch);
    desks_->on_frame(taken->second, again);
  });
}

Result<std::shared_ptr<SpawnedRunner>> Machine::spawn(SpawnedRunner::OnFrame on_frame, SpawnedRunner::OnExit on_exit) {
  const auto runner = std::make_shared<ScriptedRunner>(
      ScriptedRunner::Place{world_, fleet_.network, fleet_.referee, life_}, std::move(on_frame), std::move(on_exit));
  std::erase_if(runners_, [](const auto& weak) { return weak.expired(); });
  runners_.push_back(runner);
  return runner;
}

bool Machine::kill_a_runner() {
  std::vector<std::shared_ptr<ScriptedRunner>> alive;
  for (const auto& weak : runners_)
    if (auto runner = weak.lock(); runner && runner->runs()) alive.push_back(std::move(runner));
  if (alive.empty()) return false;
  world_.note("a runner of m{} is killed", life_.machine);
  alive[world_.below(alive.size())]->kill();
  return true;
}

void Machine::end_runners() {
  for (const auto& weak : runners_)
    if (const auto runner = weak.lock()) runner->kill();
}

std::size_t Machine::runners() const {
  return static_cast<std::size_t>(std::ranges::count_if(runners_, [](const auto& weak) {
    const auto runner = weak.lock();
    return runner && runner->runs();
  }));
}

}  // namespace flotilla::sim
