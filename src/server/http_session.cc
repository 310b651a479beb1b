#include "server/http_session.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "base/words.h"
#include "server/http_header.h"
#include "server/peer_address.h"
#include "server/session_exchange.h"

namespace flotilla {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

// Bytes a client may send ahead while its answer is being made; beyond, reading pauses (and with it the noticing of a
// hang-up, until a write fails).
constexpr std::size_t ahead_bytes_max = 16u << 10, read_piece_bytes = 4096;
// How long and how much we listen to a client that still talks after we are done with it. Closing with unread bytes
// would make the kernel send a reset, which overtakes our answer.
constexpr std::chrono::milliseconds drain_time{2000};
constexpr std::size_t drain_bytes_max = 64u << 20;

HttpAnswer refusal(Code code, unsigned status, std::string message) {
  return error_answer({.error = {code, "[server] " + std::move(message)}, .param = {}, .name = {}, .status = status});
}

HttpAnswer no_room() {
  return refusal(Code::unavailable, 503,
                 "expected room for one more request body but others are being read; try again in a moment");
}

}  // namespace

HttpSession::HttpSession(asio::ip::tcp::socket socket, ConnectionCount::Caller caller, std::shared_ptr<HttpHost> host)
    : socket_(std::move(socket)),
      caller_(std::move(caller)),
      host_(std::move(host)),
      read_timer_(socket_.get_executor()),
      write_timer_(socket_.get_executor()),
      buffer_(host_->limits.header_bytes_max + ahead_bytes_max + 2 * read_piece_bytes) {}

void HttpSession::start() {
  host_->sessions.emplace(this, weak_from_this());
  host_->traffic->connected();
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  wait_for_request(host_->limits.header_time_max);
}

void HttpSession::stop() {
  keep_alive_ = false;
  if (state_ == State::idle || state_ == State::reading) return close();
  if (auto on_end = std::exchange(on_end_, nullptr)) on_end(ExchangeEnd::stopping);
}

void HttpSession::client_gone() {
  if (state_ == State::closed) return;
  const auto self = shared_from_this();
  auto on_end = std::exchange(on_end_, nullptr);
  close();
  if (on_end) on_end(ExchangeEnd::gone);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

void HttpSession::wait_for_request(Duration patience) {
  state_ = State::idle;
  if (host_->stopping) return close();
  if (!watching_ && buffer_.size() > 0) return read_header();
  set_read_timer(patience);
  // A watch that is still out from the last answer goes on waiting; one that already brought a request is woken.
  if (!watching_) return watch();
  if (buffer_.size() > 0) socket_.cancel();
}

// One read that is always out while an answer is made: the end of the stream is how a hang-up shows.
void HttpSession::watch() {
  if (watching_ || buffer_.size() >= ahead_bytes_max) return;
  watching_ = true;
  socket_.async_read_some(buffer_.prepare(read_piece_bytes),
                          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                            self->watching_ = false;
                            self->watched(error, bytes);
                          });
}

void HttpSession::watched(const error_code& error, std::size_t bytes) {
  buffer_.commit(bytes);
  const bool ended = error && error != asio::error::operation_aborted;
  switch (state_) {
    case State::idle:
      if (ended) return close();
      return buffer_.size() > 0 ? read_header() : watch();
    case State::answering:
    case State::flushing:
      return ended ? client_gone() : watch();
    case State::draining:
      drained_bytes_ += buffer_.size();
      buffer_.consume(buffer_.size());
      return ended || drained_bytes_ > drain_bytes_max ? close() : watch();
    case State::reading:
    case State::closed:
      return;
  }
}

void HttpSession::read_header() {
  state_ = State::reading;
  timed_out_ = false;
  request_ = {};
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(host_->limits.header_bytes_max));
  parser_->body_limit(host_->limits.body_bytes_max);
  set_read_timer(host_->limits.header_time_max);
  http::async_read_header(
      socket_, buffer_, *parser_,
      [self = shared_from_this()](const error_code& error, std::size_t) { self->header_read(error); });
}

void HttpSession::header_read(const error_code& error) {
  if (state_ == State::closed) return;
  if (error) return read_failed(error);
  const auto& header = parser_->get();
  auto request = check_header(header, host_->limits);
  if (!request) return refuse(error_answer(request.error()));
  request_ = *std::move(request);
  request_.remote_address = caller_.address;
  error_code ignored;
  request_.local_address = plain_address(socket_.local_endpoint(ignored).address());
  if (parser_->is_done()) return request_read();
  // A body can be large: it is read only from who may send one. What has none is refused where it is served.
  if (auto refused = host_->refusal(request_)) return refuse(std::move(*refused));
  set_read_timer(host_->limits.body_time_max);
  request_.body_share = std::make_shared<BodyBudget::Share>(host_->bodies);
  // The parser makes room for a body whose length is told before any of it has come.
  const auto told = parser_->content_length();
  if (!request_.body_share->grow_to(static_cast<std::size_t>(told.value_or(0)))) return refuse(no_room());
  if (lower_case(header[http::field::expect]) == "100-continue") push("HTTP/1.1 100 Continue\r\n\r\n");
  read_body();
}

void HttpSession::read_body() {
  http::async_read_some(socket_, buffer_, *parser_,
                        [self = shared_from_this()](const error_code& error, std::size_t) { self->body_read(error); });
}

void HttpSession::body_read(const error_code& error) {
  if (state_ == State::closed) return;
  if (error) return read_failed(error);
  if (!request_.body_share->grow_to(parser_->get().body().size())) return refuse(no_room());
  if (!parser_->is_done()) return read_body();
  request_read();
}

void HttpSession::request_read() {
  read_timer_.cancel();
  auto message = parser_->release();
  keep_alive_ = message.keep_alive();
  request_.body = std::move(message.body());
  const bool http_1_0 = message.version() < 11;
  parser_.reset();
  state_ = State::answering;
  host_->serve(
      std::make_shared<SessionExchange>(shared_from_this(), std::exchange(request_, {}),
                                        SessionExchange::Form{.http_1_0 = http_1_0, .keep_alive = keep_alive_}));
  if (state_ == State::answering) watch();
}

void HttpSession::read_failed(const error_code& error) {
  if (timed_out_)
    return refuse(refusal(Code::timeout, 408, "expected the whole request sooner; send it without pauses"));
  if (error == http::error::body_limit) {
    return refuse(
        refusal(Code::too_large, 413,
                std::format("expected a body of at most {} bytes but got more", host_->limits.body_bytes_max)));
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return refuse(
        refusal(Code::too_large, 431,
                std::format("expected headers of at most {} bytes but got more", host_->limits.header_bytes_max)));
  }
  const bool is_http = error.category() == make_error_code(http::error::bad_method).category();
  if (!is_http || error == http::error::end_of_stream || error == http::error::partial_message) return close();
  refuse(refusal(Code::invalid_argument, 400, "expected HTTP/1.1 but got something else: " + error.message()));
}

// An answer to what never became a request, after which the connection cannot be trusted to be in step.
void HttpSession::refuse(HttpAnswer answer) {
  read_timer_.cancel();
  parser_.reset();  // with what has come of the body
  state_ = State::answering;
  SessionExchange exchange(shared_from_this(), std::exchange(request_, {}), {.http_1_0 = false, .keep_alive = false});
  exchange.answer(std::move(answer));
}

// --- Writing ---------------------------------------------------------------------------------------------------------

void HttpSession::push(std::string bytes) {
  if (state_ == State::closed) return;
  if (++pieces_queued_ > host_->limits.stream_events_queued_max) {
    // Not here and now: the caller is in the midst of making this very answer.
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->client_gone(); });
    return;
  }
  if (queued_.empty()) {
    queued_ = std::move(bytes);
  } else {
    queued_ += bytes;
  }
  if (!writing_) write_next();
}

void HttpSession::write_next() {
  writing_ = true;
  in_flight_ = std::exchange(queued_, {});
  in_flight_offset_ = 0;
  pieces_queued_ = 0;
  write_some();
}

void HttpSession::write_some() {
  set_write_timer();
  socket_.async_write_some(asio::buffer(in_flight_) + in_flight_offset_,
                           [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                             if (self->state_ == State::closed) return;
                             if (error) return self->client_gone();
                             self->in_flight_offset_ += bytes;
                             if (self->in_flight_offset_ < self->in_flight_.size()) return self->write_some();
                             if (!self->queued_.empty()) return self->write_next();
                             self->writing_ = false;
                             self->in_flight_.clear();
                             self->write_timer_.cancel();
                             if (self->state_ == State::flushing) self->flushed();
                           });
}

void HttpSession::answer_whole(bool keep_alive) {
  if (state_ == State::closed) return;
  on_end_ = nullptr;
  keep_alive_ = keep_alive_ && keep_alive;
  state_ = State::flushing;
  if (!writing_) flushed();
}

void HttpSession::flushed() {
  if (keep_alive_) return wait_for_request(host_->limits.idle_time_max);
  drain();
}

void HttpSession::drain() {
  state_ = State::draining;
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  set_read_timer(drain_time);
  if (watching_) return;
  buffer_.consume(buffer_.size());
  watch();
}

void HttpSession::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  host_->sessions.erase(this);
  host_->traffic->disconnected();
  host_->connections.forget(caller_);
  error_code ignored;
  socket_.close(ignored);
  read_timer_.cancel();
  write_timer_.cancel();
}

// --- Time ------------------------------------------------------------------------------------------------------------

void HttpSession::set_read_timer(Duration patience) {
  read_timer_.expires_after(patience);
  read_timer_.async_wait([weak = weak_from_this()](const error_code& error) {
    if (error) return;
    const auto self = weak.lock();
    // A timer that was set anew after this handler was already queued has its own handler.
    if (self && self->read_timer_.expiry() <= std::chrono::steady_clock::now()) self->read_time_is_up();
  });
}

void HttpSession::read_time_is_up() {
  if (state_ == State::idle || state_ == State::draining) return close();
  if (state_ != State::reading) return;
  timed_out_ = true;
  socket_.cancel();
}

void HttpSession::set_write_timer() {
  write_timer_.expires_after(host_->limits.write_time_max);
  write_timer_.async_wait([weak = weak_from_this()](const error_code& error) {
    if (error) return;
    const auto self = weak.lock();
    if (self && self->writing_ && self->write_timer_.expiry() <= std::chrono::steady_clock::now()) self->client_gone();
  });
}

}  // namespace flotilla
