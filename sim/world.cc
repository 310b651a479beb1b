#include "sim/world.h"

#include <algorithm>
#include <print>
#include <utility>

namespace flotilla::sim {
namespace {

struct Rings {
  std::function<void()> ring;
};

class SimulatedAlarm final : public Alarm {
 public:
  explicit SimulatedAlarm(std::shared_ptr<Rings> rings) : rings_(std::move(rings)) {}

 private:
  const std::shared_ptr<Rings> rings_;
};

bool is_later(const auto& a, const auto& b) { return a.when != b.when ? a.when > b.when : a.number > b.number; }

}  // namespace

World::World(std::uint64_t seed, std::size_t machines, bool tells_all)
    : random_(seed), machines_(machines), tells_all_(tells_all) {}

Duration World::between(Duration least, Duration most) {
  return least + Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>((most - least).count()) + 1)));
}

void World::at(Instant when, std::function<void()> what) {
  push({.when = when, .number = ++pushed_, .what = std::move(what), .whose = {}, .is_worlds = true});
}

void World::at(Instant when, Life whose, std::function<void()> what) {
  push({.when = when, .number = ++pushed_, .what = std::move(what), .whose = whose});
}

void World::push(Event event) {
  queue_.push_back(std::move(event));
  std::ranges::push_heap(queue_, [](const Event& a, const Event& b) { return is_later(a, b); });
}

SetAlarm World::alarms_of(Life whose) {
  return [this, whose](Duration pause, std::function<void()> ring) -> std::unique_ptr<Alarm> {
    auto rings = std::make_shared<Rings>(std::move(ring));
    after(pause, whose, [weak = std::weak_ptr(rings)] {
      if (const auto held = weak.lock()) held->ring();
    });
    return std::make_unique<SimulatedAlarm>(std::move(rings));
  };
}

void World::run_until(Instant when) {
  while (!queue_.empty() && queue_.front().when <= when) {
    std::ranges::pop_heap(queue_, [](const Event& a, const Event& b) { return is_later(a, b); });
    Event event = std::move(queue_.back());
    queue_.pop_back();
    now_ = event.when;
    handle(std::move(event));
  }
  now_ = when;
}

void World::forget_all() {
  while (!queue_.empty()) std::exchange(queue_, {}).clear();
}

void World::handle(Event event) {
  if (event.is_worlds) return event.what();
  if (!lives(event.whose)) return;
  Machine& machine = machines_[event.whose.machine];
  // What waited while it stalled comes in the order in which it would have come.
  if (machine.stalled_until > now_) {
    event.when = machine.stalled_until;
    return push(std::move(event));
  }
  // It is slow in everything alike: nothing overtakes.
  const bool is_slow = machine.slowness > 0s || machine.busy_until > now_;
  if (is_slow && !event.was_slowed) {
    event.when = machine.busy_until = std::max(machine.busy_until, now_ + between(0s, machine.slowness));
    event.was_slowed = true;
    return push(std::move(event));
  }
  event.what();
  if (lives(event.whose) && machine.turn) machine.turn();
}

Life World::begin_life(std::size_t machine, std::function<void()> turn) {
  Machine& begun = machines_[machine];
  begun.lives = true;
  begun.turn = std::move(turn);
  return {machine, ++begun.life};
}

void World::end_life(std::size_t machine) {
  machines_[machine].lives = false;
  machines_[machine].turn = nullptr;
  machines_[machine].stalled_until = machines_[machine].busy_until = {};
}

bool World::lives(Life life) const {
  return machines_[life.machine].lives && machines_[life.machine].life == life.number;
}

void World::write(std::string note) {
  notes_.push_back(std::format("{:9.3f} s  {}", seconds(), note));
  for (const char c : notes_.back()) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  if (tells_all_) std::println("{}", notes_.back());
  if (notes_.size() > notes_kept) notes_.pop_front();
}

}  // namespace flotilla::sim
