// Calls something once every interval on the loop: at once, and then each time so long after the call before.
// Thread: the loop's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <utility>

namespace flotilla {

class Ticker {
 public:
  Ticker(boost::asio::io_context& loop, std::chrono::milliseconds interval, std::function<void()> on_tick)
      : timer_(loop), interval_(interval), on_tick_(std::move(on_tick)) {}

  void begin() { tick(); }
  void stop() {  // for good, also from within a call
    stopped_ = true;
    timer_.cancel();
  }

 private:
  void tick() {
    on_tick_();
    if (stopped_) return;
    timer_.expires_after(interval_);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error && !stopped_) tick();
    });
  }

  boost::asio::steady_timer timer_;
  const std::chrono::milliseconds interval_;
  const std::function<void()> on_tick_;
  bool stopped_ = false;
};

}  // namespace flotilla
