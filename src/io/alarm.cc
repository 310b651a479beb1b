#include "io/alarm.h"

#include <boost/asio/steady_timer.hpp>
#include <utility>

namespace flotilla {
namespace {

class TimedAlarm final : public Alarm {
 public:
  TimedAlarm(boost::asio::io_context& loop, std::chrono::steady_clock::duration pause, std::function<void()> ring)
      : timer_(loop, pause), ring_(std::make_shared<std::function<void()>>(std::move(ring))) {
    // Where it is taken back between the end of its time and the call, the call has nothing left to find.
    timer_.async_wait([weak = std::weak_ptr(ring_)](const boost::system::error_code& error) {
      if (const auto held = weak.lock(); held && !error) (*held)();
    });
  }

 private:
  boost::asio::steady_timer timer_;
  const std::shared_ptr<std::function<void()>> ring_;
};

}  // namespace

SetAlarm alarms_on(boost::asio::io_context& loop) {
  return [&loop](std::chrono::steady_clock::duration pause, std::function<void()> ring) {
    return std::make_unique<TimedAlarm>(loop, pause, std::move(ring));
  };
}

}  // namespace flotilla
