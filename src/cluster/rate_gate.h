// Lets one measurement of a link through this machine at a time, whoever began it, and none while it computes.
//
// An asker's bulk connection holds the gate from its first rate_request until it closes; what it may take meanwhile is
// bounded, so that nobody keeps the gate or fills the link under this name.
// Thread: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "cluster/instant.h"
#include "io/link.h"

namespace flotilla {

class RateGate {
 public:
  static constexpr std::uint64_t session_bytes_max = 2 * limits::rate_bytes_max;
  static constexpr auto session_time_max = std::chrono::seconds(10);
  static constexpr std::uint32_t session_requests_max = 256;

  void set_open(bool open);  // closed: this machine computes, loads or times its kernels

  // --- Answering. busy where another holds the gate or it is closed; too_large beyond a session's bounds. ---
  Status admit(const Link& link, std::uint64_t bytes, Instant now);
  void leave(const Link& link);  // closed, whether it held the gate or not

  // --- Asking. False where someone is being answered, or it is closed. ---
  bool begin_asking(Instant now);
  void end_asking();

 private:
  struct Session {
    const Link* link;
    Instant since;
    std::uint64_t bytes = 0;
    std::uint32_t requests = 0;
  };
  void end_overdue_session(Instant now);

  std::mutex mutex_;
  bool open_ = true, asking_ = false;
  std::optional<Session> session_;
};

}  // namespace flotilla
