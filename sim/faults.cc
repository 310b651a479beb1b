#include "sim/faults.h"

#include <algorithm>

namespace flotilla::sim {
namespace {

constexpr Duration first_at = 3s, last_at = 30s;
constexpr std::uint64_t faults_max = 7;

}  // namespace

void Faults::plan() {
  healed_at_ = world_.now() + last_at;
  for (std::uint64_t count = 1 + world_.below(faults_max); count > 0; --count)
    plan_one(world_.now() + world_.between(first_at, last_at));
}

std::size_t Faults::another(std::size_t than) {
  return (than + 1 + world_.below(fleet_.machines.size() - 1)) % fleet_.machines.size();
}

void Faults::until(Instant end, std::function<void()> what) {
  healed_at_ = std::max(healed_at_, end);
  world_.at(end, std::move(what));
}

void Faults::cut(Instant at, Duration length, std::size_t from, std::size_t to) {
  world_.at(at, [this, from, to] {
    world_.note("the way from m{} to m{} is cut", from, to);
    network_.cut(from, to);
  });
  until(at + length, [this, from, to] {
    world_.note("the way from m{} to m{} is whole again", from, to);
    network_.heal(from, to);
  });
}

void Faults::isolate(Instant at, Duration length) {
  const std::size_t lone = machine();
  for (std::size_t other = 0; other < fleet_.machines.size(); ++other) {
    if (other == lone) continue;
    cut(at, length, lone, other);
    cut(at, length, other, lone);
  }
}

void Faults::plan_one(Instant at) {
  const std::size_t one = machine(), other = another(one);
  switch (world_.below(10)) {
    case 0: {
      const Duration length = world_.between(200ms, 20s);
      cut(at, length, one, other);
      return cut(at, length, other, one);
    }
    case 1:
      return cut(at, world_.between(200ms, 20s), one, other);
    case 2:
      return isolate(at, world_.between(200ms, world_.chance(0.1) ? Duration(60s) : Duration(12s)));
    case 3:
    case 4:
      return world_.at(at, [this, one, other] {
        world_.note("connections between m{} and m{} are reset", one, other);
        network_.reset(one, other);
      });
    case 5: {
      const Duration slowness = world_.between(10ms, 300ms);
      world_.at(at, [this, one, slowness] {
        world_.note("m{} is slow", one);
        world_.slow_down(one, slowness);
      });
      return until(at + world_.between(1s, 20s), [this, one] { world_.slow_down(one, 0s); });
    }
    case 6: {
      const Instant end = at + (world_.chance(0.2) ? world_.between(8s, 60s) : world_.between(1s, 8s));
      world_.at(at, [this, one, end] {
        world_.note("m{} stalls", one);
        world_.stall(one, end);
      });
      return until(end, [this, one] { world_.note("m{} goes on", one); });
    }
    case 7:
    case 8: {
      const bool loses_power = world_.chance(0.4);
      world_.at(at, [this, one, loses_power] { fleet_.end(one, loses_power); });
      return until(at + world_.between(300ms, 20s), [this, one] { fleet_.start(one); });
    }
    default:
      return world_.at(at, [this, one, other] {
        for (const std::size_t each : {one, other})
          if (fleet_.machines[each] && fleet_.machines[each]->kill_a_runner()) return;
      });
  }
}

}  // namespace flotilla::sim
