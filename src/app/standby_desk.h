// Keeps second copies of models on this machine's disk where standby.h chooses it: piece by piece from the machine that
// has the file, resting three times as long as each took, so that answers do not notice.
// In: the cluster's view, time.  Out: bulk requests; in node_info the room given and the copies under way.
// Owns: the copy under way.  Thread: the loop's; bytes move on the copy pool.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "app/node_context.h"
#include "app/standby.h"
#include "app/ticker.h"

namespace flotilla {

class StandbyDesk {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;
  static constexpr std::chrono::seconds settle_time{10};  // as long a wish must stay: loads come first
  static constexpr std::chrono::seconds pause_after_failure{60};

  // `bytes`: room for copies on this disk; none: a quarter of what is free.
  StandbyDesk(NodeContext& context, std::optional<std::uint64_t> bytes, Now now = Clock::now);
  ~StandbyDesk();

  void begin();  // looks each two seconds whether there is something to copy
  void look();   // once

  std::uint64_t room_bytes() const;
  std::vector<StandbyCopy> copies() const;

 private:
  struct Copy;
  void start(const StandbyWish& wish);
  void on_done(const std::shared_ptr<Copy>& copy, const Status& status);
  static Status bring(NodeContext& context, Copy& copy);

  NodeContext& context_;
  const std::optional<std::uint64_t> bytes_;
  const Now now_;
  Ticker ticker_;
  std::shared_ptr<Copy> copy_;
  std::optional<StandbyWish> wish_;
  Clock::time_point wished_at_{}, not_before_{};
};

}  // namespace flotilla
