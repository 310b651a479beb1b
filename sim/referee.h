// Decides whether a run kept its word: each invariant by a short name (docs/testing.md). The first breach is kept.
// In: what happens.  Out: the breach, if any.  Owns: who writes in which epoch.  Thread: the one there is.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/ids.h"
#include "sim/world.h"

namespace flotilla::sim {

// The names by which docs/testing.md knows them.
inline constexpr std::string_view tokens_once = "tokens-once", requests_end = "requests-end", one_writer = "one-writer",
                                  heals = "heals", no_leaks = "no-leaks";

// A bug put into the simulation on purpose, to see that it is found.
enum class Plant : std::uint8_t {
  none,
  two_heads,         // a second machine is given a head's stage, with its epoch
  old_epoch,         // what comes late of an earlier placement is taken for the present one's
  forgotten_member,  // a machine that is lost is dialled no more, and its beacons are not heard
  doubled_token,     // a token event comes again, as the next one
};

class Referee {
 public:
  struct Breach {
    std::string invariant, what;
    double seconds = 0;
  };

  Referee(World& world, Plant planted) : plant(planted), world_(world) {}

  template <class... Args>
  void blame(std::string_view invariant, std::format_string<Args...> format, Args&&... args) {
    if (breach_) return;
    breach_ = {std::string(invariant), std::format(format, std::forward<Args>(args)...), world_.seconds()};
    world_.note("BREACH of {}: {}", breach_->invariant, breach_->what);
  }
  const std::optional<Breach>& breach() const { return breach_; }

  // A runner holds a stage from the moment it says it is ready until its process ends.
  using Stage = std::tuple<PlacementId, Epoch, std::uint32_t>;
  void on_stage_held(const Stage& stage, std::size_t machine);
  void on_stage_gone(const Stage& stage, std::size_t machine);
  std::size_t stages_held() const;

  // A head begins a placement. An epoch is of one placement and no other.
  void on_epoch(PlacementId placement, Epoch epoch, std::size_t machine);
  std::optional<Epoch> epoch_of(PlacementId placement) const;

  const Plant plant;

 private:
  World& world_;
  std::optional<Breach> breach_;
  std::map<Stage, std::map<std::size_t, int>> holders_;
  std::map<PlacementId, Epoch> epochs_;
  std::map<Epoch, std::pair<PlacementId, std::size_t>> issued_;
};

}  // namespace flotilla::sim
