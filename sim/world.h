// Time, chance and what happens next: the simulation's one queue of events. Everything that is random in a run comes
// from its seed, so that a run can be had again.
// In: events for later, each of a machine's life or of the world itself.  Out: events, in order.  Owns: the queue, the
// machines' lives, the last things noted.  Thread: one.  Never: looks at a clock of this computer.
#pragma once

#include <cstdint>
#include <deque>
#include <format>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cluster/instant.h"
#include "io/alarm.h"

namespace flotilla::sim {

using Duration = Instant::duration;
using namespace std::chrono_literals;

// One run of one machine's processes, from its start to its end. What is meant for a life that is over is dropped.
struct Life {
  std::size_t machine = 0;
  std::uint64_t number = 0;
  bool operator==(const Life&) const = default;
};

class World {
 public:
  static constexpr std::size_t notes_kept = 60;

  World(std::uint64_t seed, std::size_t machines, bool tells_all);

  Instant now() const { return now_; }
  double seconds() const { return std::chrono::duration<double>(now_.time_since_epoch() - start).count(); }

  // --- Chance
  std::uint64_t random() { return random_(); }
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool chance(double probability) { return static_cast<double>(random_() >> 11) * 0x1p-53 < probability; }
  Duration between(Duration least, Duration most);

  // --- Events
  void at(Instant when, std::function<void()> what);
  void at(Instant when, Life whose, std::function<void()> what);  // held up while its machine stalls or is slow
  void after(Duration pause, std::function<void()> what) { at(now_ + pause, std::move(what)); }
  void after(Duration pause, Life whose, std::function<void()> what) { at(now_ + pause, whose, std::move(what)); }
  SetAlarm alarms_of(Life whose);
  void run_until(Instant when);
  void forget_all();  // at the end: events may hold what needs this world

  // --- Machines
  Life begin_life(std::size_t machine, std::function<void()> turn);  // `turn`: after each of its events
  void end_life(std::size_t machine);
  bool lives(Life life) const;
  void stall(std::size_t machine, Instant until) { machines_[machine].stalled_until = until; }
  void slow_down(std::size_t machine, Duration most) { machines_[machine].slowness = most; }

  // --- What is told of a run that failed
  template <class... Args>
  void note(std::format_string<Args...> format, Args&&... args) {
    write(std::format(format, std::forward<Args>(args)...));
  }
  const std::deque<std::string>& notes() const { return notes_; }
  std::uint64_t digest() const { return digest_; }  // of all notes: two runs of one seed have the same

 private:
  static constexpr Duration start = 1h;  // so that nothing is ever before the beginning of time
  struct Event {
    Instant when;
    std::uint64_t number = 0;
    std::function<void()> what;
    Life whose;
    bool is_worlds = false, was_slowed = false;
  };
  struct Machine {
    std::uint64_t life = 0;
    bool lives = false;
    Instant stalled_until{}, busy_until{};
    Duration slowness{};
    std::function<void()> turn;
  };
  void push(Event event);
  void handle(Event event);
  void write(std::string note);

  Instant now_{start};
  std::mt19937_64 random_;
  std::vector<Event> queue_;  // a heap
  std::uint64_t pushed_ = 0;
  std::vector<Machine> machines_;
  std::deque<std::string> notes_;
  std::uint64_t digest_ = 14695981039346656037ull;
  const bool tells_all_;
};

}  // namespace flotilla::sim
