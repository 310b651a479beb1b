// Tells the system's service manager how the node is: that it answers, that its loop still turns, that it is stopping.
// systemd's protocol, one datagram each (sd_notify(3)); where no manager asked, nothing. Thread: the loop's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "io/tcp_link.h"

namespace flotilla {

class ServiceNotice {
 public:
  // Takes NOTIFY_SOCKET and WATCHDOG_USEC out of the environment: they are for this process, not for its runners.
  // Before any other thread begins.
  explicit ServiceNotice(boost::asio::io_context& loop);
  ServiceNotice(const ServiceNotice&) = delete;
  ServiceNotice& operator=(const ServiceNotice&) = delete;

  void ready(std::string_view status);  // from now on also that it lives, twice as often as it is asked to
  void stopping();

 private:
  void say(std::string_view text) const;
  void say_alive();

  std::string address_;  // a path, or "@" and a name; empty: nobody listens
  std::chrono::microseconds watchdog_{0};
  boost::asio::steady_timer timer_;
};

}  // namespace flotilla
