// Being called later: what rules and desks set instead of timers of their own, so that whoever drives them can also
// make time.
// Thread: the loop's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace flotilla {

class Alarm {
 public:
  virtual ~Alarm() = default;  // taken back: it does not ring from now on
};

// Rings once, by the loop, after `pause`. It may be taken back from within its own ring.
using SetAlarm =
    std::function<std::unique_ptr<Alarm>(std::chrono::steady_clock::duration pause, std::function<void()> ring)>;

SetAlarm alarms_on(boost::asio::io_context& loop);  // by the steady clock

}  // namespace flotilla
