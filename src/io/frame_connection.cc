#include "io/frame_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <deque>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"

namespace flotilla {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

constexpr auto linger_max = std::chrono::seconds(1);
// A stranger's header may announce 4 MiB: memory is taken as the bytes arrive, not before.
constexpr std::size_t body_step_bytes = 64u << 10;
constexpr std::size_t wire_step_bytes = 32u << 10;  // read at once where it is encrypted

// open → closing (close() was called: writes go on, what arrives is thrown away) → closed (on_close was or will be
// called). open → released.
enum class State { idle, open, closing, closed, released };

class AsioFrameConnection : public FrameConnection {
 public:
  AsioFrameConnection(asio::any_io_executor executor, SecureSocket secure)
      : socket_(executor),
        timer_(executor),
        remote_host_(flotilla::remote_host(secure.socket)),
        tls_(std::move(secure.tls)),
        is_ready_(!tls_) {
    Descriptor& descriptor = secure.socket;
    sockaddr_storage address{};
    socklen_t bytes = sizeof address;
    getsockname(descriptor.get(), reinterpret_cast<sockaddr*>(&address), &bytes);
    error_code error;
    socket_.assign({address.ss_family, 0}, descriptor.get(), error);
    if (error) {
      adopt_error_ = Error{Code::unavailable, std::format("[io] could not adopt a socket: {}", error.message())};
    } else {
      descriptor.release();
    }
  }

  void start(OnFrame on_frame, OnClose on_close) override {
    check(state_ == State::idle, "a connection is started once");
    state_ = State::open;
    on_frame_ = std::move(on_frame);
    on_close_ = std::move(on_close);
    if (adopt_error_) return finish(*adopt_error_);
    if (tls_) return shake_hands();
    read_header();
  }

  void when_secured(std::function<void()> on_secured) override { on_secured_ = std::move(on_secured); }
  const TlsSession* tls() const override { return tls_ ? &*tls_ : nullptr; }
  void bound_bodies(std::size_t bytes_max) override { body_bytes_max_ = bytes_max; }

  void send(const Frame& frame) override {
    check(state_ != State::idle, "a connection is started before anything is sent");
    if (state_ != State::open) return;
    if (frame.body.size() > std::min(body_bytes_max(frame.header.kind), limits::control_body_bytes_max)) {
      log(LogLevel::error, "io", "dropped a {} frame of {} bytes: its receiver would refuse it",
          to_string(frame.header.kind), frame.body.size());
      return;
    }
    if (queued_bytes_ + frame_header_bytes + frame.body.size() > limits::send_queue_bytes_max) {
      return finish(
          {Code::unavailable, std::format("[io] expected {} to read what it is sent but {} bytes wait for it; "
                                          "is it overloaded or stopped?",
                                          peer_name(), queued_bytes_)});
    }
    queue_.push_back({encode_header(frame.header, frame.body), frame.body});
    queued_bytes_ += frame_header_bytes + frame.body.size();
    write_next();
  }

  bool offer(const Frame& frame) override {
    if (!is_open() || queued_bytes_ + frame_header_bytes + frame.body.size() > offered_bytes_max) return false;
    send(frame);
    return true;
  }

  void close(Error cause) override {
    if (state_ == State::idle) state_ = State::closed;
    if (state_ != State::open) return;
    state_ = State::closing;
    cause_ = std::move(cause);
    timer_.expires_after(linger_max);
    timer_.async_wait([self = self()](error_code error) {
      if (!error) self->finish(self->cause_);
    });
    if (queue_.empty() && !is_writing_) half_close();
  }

  bool is_open() const override { return state_ == State::open; }
  std::string remote_host() const override { return remote_host_; }

  SecureSocket release() override {
    check(delivering_, "a socket is released from inside on_frame only");
    if (state_ != State::open) return {};
    if (!queue_.empty() || is_writing_) {
      finish({Code::unavailable, "[io] expected every frame to be sent before the socket changes hands but some wait"});
      return {};
    }
    error_code error;
    const int fd = socket_.release(error);
    if (error) {
      finish({Code::internal, std::format("[io] could not hand a socket on: {}", error.message())});
      return {};
    }
    state_ = State::released;
    return {Descriptor(fd), std::exchange(tls_, std::nullopt)};
  }

 private:
  struct Outgoing {
    FrameHeaderBytes header;
    Bytes body;
  };

  std::shared_ptr<AsioFrameConnection> self() {
    return std::static_pointer_cast<AsioFrameConnection>(shared_from_this());
  }
  std::string peer_name() const { return remote_host_.empty() ? "the other process" : remote_host_; }
  bool is_over() const { return state_ == State::closed || state_ == State::released; }

  // --- TLS ---
  void shake_hands() {
    const auto status = tls_->advance();
    if (!status) return end_handshake(status.error());
    write_next();
    if (tls_->established()) return begin_frames();
    take_in([](AsioFrameConnection& connection) { connection.shake_hands(); });
  }

  void begin_frames() {
    is_ready_ = true;
    if (const auto on_secured = std::exchange(on_secured_, nullptr)) on_secured();
    write_next();
    if (state_ == State::closing) return discard();
    if (state_ == State::open) read_header();
  }

  // The alert tells the other end why; little enough that the system takes it at once, or it goes without.
  void end_handshake(Error cause) {
    error_code ignored;
    socket_.non_blocking(true, ignored);
    if (!is_writing_ && !tls_->outgoing().empty()) {
      const Bytes alert = tls_->take_outgoing();
      socket_.write_some(asio::buffer(alert), ignored);
    }
    finish(std::move(cause));
  }

  // Brings in what there is, then goes on.
  void take_in(void (*go_on)(AsioFrameConnection&)) {
    const auto room = tls_->room(wire_step_bytes);
    socket_.async_read_some(asio::buffer(room.data(), room.size()),
                            [self = self(), go_on](error_code error, std::size_t count) {
                              if (self->is_over()) return;
                              const bool has_begun = self->is_ready_;
                              if (error && has_begun) return self->finish_filling(error, false);
                              if (error) return self->on_read_error(error, 0);
                              if (has_begun && self->state_ == State::closing) return self->discard();
                              if (!has_begun && self->begins_in_the_clear(count))
                                return self->go_on_in_the_clear(count);
                              self->has_heard_ = true;
                              self->tls_->arrived(count);
                              go_on(*self);
                            });
  }

  // The first byte of a frame is no TLS record's.
  bool begins_in_the_clear(std::size_t count) {
    return !has_heard_ && count > 0 && tls_->room(count)[0] == std::byte{frame_magic & 0xff};
  }

  void go_on_in_the_clear(std::size_t count) {
    const auto heard = tls_->room(count).first(count);
    ahead_.assign(heard.begin(), heard.end());
    tls_.reset();
    begin_frames();
  }

  // --- Reading ---
  using OnFilled = void (AsioFrameConnection::*)(error_code error, std::size_t count);

  // Exactly so many bytes of what the peer says; on_filled never runs inside the call.
  void fill(std::span<std::byte> into, OnFilled on_filled) {
    into_ = into;
    filled_ = 0;
    on_filled_ = on_filled;
    if (tls_) return decrypt(true);
    filled_ = std::min(ahead_.size(), into.size());
    std::copy_n(ahead_.begin(), filled_, into.begin());
    ahead_.erase(ahead_.begin(), ahead_.begin() + static_cast<std::ptrdiff_t>(filled_));
    asio::async_read(socket_, asio::buffer(into.data() + filled_, into.size() - filled_),
                     [self = self()](error_code error, std::size_t count) {
                       if (!self->is_over()) (*self.*self->on_filled_)(error, self->filled_ + count);
                     });
  }

  void decrypt(bool inside_call) {
    while (filled_ < into_.size()) {
      const auto count = tls_->read(into_.subspan(filled_));
      if (!count && count.error().code != Code::closed) return finish(count.error());
      if (!count) return finish_filling(asio::error::eof, inside_call);
      write_next();  // TLS itself may have something to answer
      if (*count == 0) return take_in([](AsioFrameConnection& connection) { connection.decrypt(false); });
      filled_ += *count;
    }
    finish_filling({}, inside_call);
  }

  void finish_filling(error_code error, bool inside_call) {
    if (!inside_call) return (this->*on_filled_)(error, filled_);
    asio::post(socket_.get_executor(), [self = self(), error] {
      if (!self->is_over()) (*self.*self->on_filled_)(error, self->filled_);
    });
  }

  void read_header() { fill(header_bytes_, &AsioFrameConnection::on_header_bytes); }

  void on_header_bytes(error_code error, std::size_t count) {
    if (error) return on_read_error(error, count);
    if (state_ == State::closing) return discard();
    on_header();
  }

  void on_header() {
    auto header = decode_header(header_bytes_);
    if (!header) return finish(std::move(header).error());
    if (header->body_bytes > body_bytes_max_) {
      return finish(
          {Code::too_large,
           std::format("[io] expected frames of at most {} bytes but got {} bytes of {} from {}; the peer is broken",
                       body_bytes_max_, header->body_bytes, to_string(header->kind), peer_name())});
    }
    frame_.header = *header;
    frame_.body.clear();
    read_body();
  }

  void read_body() {
    const std::size_t have = frame_.body.size(), total = frame_.header.body_bytes;
    if (have == total) return on_body();
    frame_.body.resize(std::min(total, have + body_step_bytes));
    fill(std::span(frame_.body).subspan(have), &AsioFrameConnection::on_body_bytes);
  }

  void on_body_bytes(error_code error, std::size_t count) {
    if (error) return on_read_error(error, frame_header_bytes + frame_.body.size() - into_.size() + count);
    if (state_ == State::closing) return discard();
    read_body();
  }

  void on_body() {
    if (const auto status = check_body(frame_.header, frame_.body); !status) return finish(status.error());
    delivering_ = true;
    on_frame_(std::exchange(frame_, {}));
    delivering_ = false;
    if (state_ == State::open) return read_header();
    if (state_ == State::closing) return discard();
    if (state_ == State::released) forget_callbacks();
  }

  // `count` bytes of a frame had arrived.
  void on_read_error(error_code error, std::size_t count) {
    if (state_ == State::closing) return finish(cause_);
    if (error == asio::error::eof && count == 0) {
      return finish({Code::closed, std::format("[io] {} closed the connection", peer_name())});
    }
    if (error == asio::error::eof) {
      return finish(
          {Code::closed, std::format("[io] expected a whole frame from {} but got {} bytes before it closed the "
                                     "connection",
                                     peer_name(), count)});
    }
    finish({Code::closed, std::format("[io] the connection to {} broke: {}", peer_name(), error.message())});
  }

  // Bytes that arrive after close(). Unread, they would make the system reset the connection, and the peer might lose
  // the frame that tells it why.
  void discard() {
    socket_.async_read_some(asio::buffer(header_bytes_), [self = self()](error_code error, std::size_t) {
      if (self->is_over()) return;
      if (error) return self->finish(self->cause_);
      self->discard();
    });
  }

  // --- Writing ---
  // What TLS has to say, and the frame in front of the queue: one write at a time.
  void write_next() {
    if (is_writing_ || is_over()) return;
    const bool has_frame = is_ready_ && !queue_.empty();
    if (tls_) {
      if (has_frame && !encrypt(queue_.front())) return;
      if (tls_->outgoing().empty()) return;
      wire_ = tls_->take_outgoing();
    } else if (!has_frame) {
      return;
    }
    is_writing_ = true;
    const auto done = [self = self(), has_frame](error_code error, std::size_t) { self->on_written(error, has_frame); };
    if (tls_) return asio::async_write(socket_, asio::buffer(wire_), done);
    const Outgoing& next = queue_.front();
    asio::async_write(socket_, std::array{asio::buffer(next.header), asio::buffer(next.body)}, done);
  }

  bool encrypt(const Outgoing& frame) {
    auto status = tls_->write(frame.header);
    if (status) status = tls_->write(frame.body);
    if (!status) finish(status.error());
    return status.has_value();
  }

  void on_written(error_code error, bool frame_is_done) {
    is_writing_ = false;
    if (is_over()) return;
    if (error) {
      if (state_ == State::closing) return finish(cause_);
      return finish({Code::closed, std::format("[io] the connection to {} broke: {}", peer_name(), error.message())});
    }
    if (frame_is_done) {
      queued_bytes_ -= frame_header_bytes + queue_.front().body.size();
      queue_.pop_front();
    }
    write_next();
    if (!is_writing_ && queue_.empty() && state_ == State::closing) half_close();
  }

  // --- Closing ---
  // Everything is written; the peer's end of stream says that it has read it. The read under way goes on.
  void half_close() {
    error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    if (error) finish(cause_);
  }

  // Posted, so that on_close never runs inside a call of the owner's.
  void finish(Error cause) {
    if (is_over()) return;
    state_ = State::closed;
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    asio::post(socket_.get_executor(), [self = self(), cause = std::move(cause)] {
      const OnClose on_close = std::move(self->on_close_);
      self->forget_callbacks();
      if (on_close) on_close(cause);
    });
  }

  // They may hold the connection itself.
  void forget_callbacks() {
    on_secured_ = nullptr;
    on_frame_ = nullptr;
    on_close_ = nullptr;
  }

  Socket socket_;
  asio::steady_timer timer_;
  const std::string remote_host_;
  std::optional<TlsSession> tls_;
  bool is_ready_;  // frames may be sent: at once, or after the TLS handshake
  bool is_writing_ = false, has_heard_ = false;
  std::optional<Error> adopt_error_;
  State state_ = State::idle;
  bool delivering_ = false;
  std::size_t body_bytes_max_ = limits::control_body_bytes_max;  // of what arrives
  std::function<void()> on_secured_;
  Error cause_;  // from close() on
  OnFrame on_frame_;
  OnClose on_close_;
  FrameHeaderBytes header_bytes_{};
  Frame frame_;
  std::span<std::byte> into_;  // what is being read
  std::size_t filled_ = 0;
  OnFilled on_filled_ = nullptr;
  Bytes ahead_;                 // read while it was not known that nothing is encrypted
  Bytes wire_;                  // encrypted, being written
  std::deque<Outgoing> queue_;  // the front is being written
  std::size_t queued_bytes_ = 0;
};

}  // namespace

std::shared_ptr<FrameConnection> FrameConnection::adopt(asio::any_io_executor executor, SecureSocket socket) {
  return std::make_shared<AsioFrameConnection>(std::move(executor), std::move(socket));
}

}  // namespace flotilla
