// Decides when this machine measures itself, and what of it holds: at the first start, when a model brings a type of
// weights not timed yet, after a slowdown, and when someone asks. In: what stages here do, the
// models there are, time.  Out: MachineRates, for the node to publish.  Owns: the measuring process, the cache in the
// home.  Thread: the loop's.
// Never: measures while a stage here computes or loads (it waits for some quiet seconds, and gives way at once); delays
// anything else: whoever plans before does so from memory alone.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/node_context.h"
#include "app/rates_cache.h"
#include "app/slowdown_watch.h"
#include "app/ticker.h"

namespace flotilla {

class MeasureDesk {
 public:
  struct Options {
    bool unasked = true;  // false: only where someone asks
    std::uint32_t threads = 1;
    std::filesystem::path home;
  };
  struct Progress {
    std::string text;  // "timing Q4_K"; empty: over
    std::uint32_t done = 0, total = 0;
  };
  using OnProgress = std::function<void(const Progress&)>;
  using OnDone = std::function<void(const Result<MachineRates>&)>;
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;

  static constexpr std::size_t askers_max = 16;         // each holds a connection open; more are told to come again
  static constexpr std::chrono::seconds wait_max{600};  // for a quiet moment

  MeasureDesk(NodeContext& context, Options options, Now now = Clock::now);
  ~MeasureDesk();

  void begin();  // reads the cache, and looks each second whether there is something to do
  void stop();
  void look();  // once

  // As they are now: what was measured, and slower where a quota throttles or the machine was noticed to have become
  // so.
  MachineRates rates() const;
  void on_work();                                         // a stage here computes or loads
  void on_stats(const StageStats& stats, bool is_alone);  // of a stage here; no other was at work since the last
  void on_stage_ended(PlacementId placement) { watch_.forget(placement); }
  void on_progress(OnProgress observer) { observer_ = std::move(observer); }

  // Nothing here computes, loads or measures, and has not for some seconds: a link may be measured.
  bool is_quiet() const;

  // What is known, or measured first where nothing is or `again`. Waits for quiet like any other measurement: timeout
  // where none comes within wait_max, busy where askers_max wait already. Gives what leave() takes.
  std::uint64_t want(bool again, OnProgress on_progress, OnDone on_done);
  void leave(std::uint64_t asker);  // it is told nothing more

 private:
  struct Asker {
    std::uint64_t number = 0;
    Clock::time_point since;
    OnProgress on_progress;
    OnDone on_done;
  };

  void watch_share();
  void give_up_waiting();
  void answer_all(const Result<MachineRates>& rates);
  std::vector<std::string> missing_types();
  void start(std::vector<std::string> types, bool everything);
  void on_child_frame(const Frame& frame);
  void on_measured(MachineRates rates);
  void look_again_later();
  void on_failure(const Error& cause);
  void end_child();
  void tell(const Progress& progress);
  Circumstances circumstances() const;
  double granted() const;  // cores' time for `threads`

  NodeContext& context_;
  const Options options_;
  const Now now_;
  SlowdownWatch watch_;
  Ticker ticker_;
  std::optional<MachineRates> measured_;
  double slower_ = 1;   // times as long as measured_ says, since
  double share_ = 1;    // cores' time of this process, when last looked
  bool stale_ = false;  // measured_ holds no longer: measure everything
  // A machine that was slowed down and has nothing to compute since would not notice that it has recovered: it is
  // measured again from time to time, until it is as quick as it was.
  std::optional<double> usual_seconds_;  // of the first kernel and one row, before
  std::optional<Clock::time_point> again_at_;
  std::chrono::seconds again_pause_{};
  bool everything_ = false;           // the child does
  std::vector<std::string> asked_;    // of the child: types
  std::set<std::string> untimeable_;  // it was asked for them in vain
  std::shared_ptr<RunnerProcess> child_;
  Clock::time_point child_started_{}, worked_at_{}, not_before_{};
  std::chrono::seconds pause_{};
  std::vector<Asker> askers_;
  std::uint64_t asker_numbers_ = 0;
  std::map<std::string, std::vector<std::string>> types_by_model_;  // by fingerprint
  OnProgress observer_;
};

}  // namespace flotilla
