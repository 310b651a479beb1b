// The bytes of a streamed answer as its dialect makes them; signs of life while silent, so that no proxy takes a long
// prefill for a dead connection.
//
// Until start(), a failure still has an HTTP status of its own. A stream that nobody started for one keep-alive period
// (a model that loads slowly) starts itself. Thread: the loop's.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/http_exchange.h"

namespace flotilla {

class StreamWriter : public std::enable_shared_from_this<StreamWriter> {
 public:
  // `media_type`: of static storage.
  StreamWriter(std::shared_ptr<HttpExchange> exchange, const boost::asio::any_io_executor& loop,
               std::chrono::milliseconds keepalive, std::string_view media_type);

  // Once, after construction. `sign`: what shows that the stream lives.
  using Sign = std::function<std::string()>;
  void watch_silence(Sign sign);
  void start();                                        // the headers; again does nothing
  void start_within(std::chrono::milliseconds grace);  // unless something happens before
  bool is_started() const { return started_; }
  void send(std::string bytes);    // starts where needed
  void done(std::string bytes);    // the last ones, and the end
  void fail(std::string bytes);    // of a stream that has started: the last ones; the connection ends too
  void refuse(HttpAnswer answer);  // of one that has not
  void drop();                     // the client is gone

 private:
  void wait();
  void time_is_up();

  std::shared_ptr<HttpExchange> exchange_;  // empty after the end
  boost::asio::steady_timer silence_, grace_;
  std::chrono::milliseconds keepalive_;
  std::string_view media_type_;
  Sign sign_;
  std::chrono::steady_clock::time_point last_;
  bool started_ = false;
};

}  // namespace flotilla
