// Decides how one TCP connection becomes a row of exchanges: reading within limits, keep-alive, noticing that the
// client hung up while its answer is still being made, and never keeping more unsent pieces than allowed. In: a socket.
// Out: exchanges, one at a time.  Owns: the socket.  Thread: the loop's. Never: looks at what a request means.
//
//   idle → reading → answering → flushing → idle …            (keep-alive)
//                                         → draining → closed (so that the last answer is not lost to a reset)
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/api_error.h"
#include "server/connection_count.h"
#include "server/http_exchange.h"
#include "server/server.h"
#include "server/traffic.h"

namespace flotilla {

class HttpSession;

// What all connections of a server share.
struct HttpHost {
  ServerLimits limits;
  std::function<void(std::shared_ptr<HttpExchange>)> serve;
  // What is answered in place of reading a body, by the headers alone; nothing where it may come.
  std::function<std::optional<HttpAnswer>(HttpRequest&)> refusal;
  ConnectionCount connections;
  std::shared_ptr<BodyBudget> bodies;
  std::shared_ptr<ServerTraffic> traffic = std::make_shared<ServerTraffic>();
  std::unordered_map<HttpSession*, std::weak_ptr<HttpSession>> sessions;
  bool stopping = false;
};

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  // `caller` is counted among the host's connections, and no longer once this is closed.
  HttpSession(boost::asio::ip::tcp::socket socket, ConnectionCount::Caller caller, std::shared_ptr<HttpHost> host);
  void start();
  void stop();         // an open answer is told so and may end; then the connection closes
  void client_gone();  // closes at once and tells the answer's maker

 private:
  friend class SessionExchange;
  enum class State { idle, reading, answering, flushing, draining, closed };
  using Duration = std::chrono::milliseconds;

  void wait_for_request(Duration patience);
  void watch();
  void watched(const boost::system::error_code& error, std::size_t bytes);
  void read_header();
  void header_read(const boost::system::error_code& error);
  void read_body();
  void body_read(const boost::system::error_code& error);
  void request_read();
  void read_failed(const boost::system::error_code& error);
  void refuse(HttpAnswer answer);

  void push(std::string bytes);
  void write_next();
  void write_some();
  void answer_whole(bool keep_alive);  // the last byte of the answer has been pushed
  void flushed();
  void drain();
  void close();

  void set_read_timer(Duration patience);
  void read_time_is_up();
  void set_write_timer();

  boost::asio::ip::tcp::socket socket_;
  const ConnectionCount::Caller caller_;
  std::shared_ptr<HttpHost> host_;
  boost::asio::steady_timer read_timer_, write_timer_;
  State state_ = State::idle;

  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpRequest request_;  // being read
  bool watching_ = false, timed_out_ = false, keep_alive_ = true;
  std::size_t drained_bytes_ = 0;

  std::string queued_, in_flight_;  // bytes to send: waiting, and being written
  std::size_t pieces_queued_ = 0, in_flight_offset_ = 0;
  bool writing_ = false;
  std::function<void(ExchangeEnd)> on_end_;
};

}  // namespace flotilla
