#include "server/stream_writer.h"

#include <utility>

namespace flotilla {

StreamWriter::StreamWriter(std::shared_ptr<HttpExchange> exchange, const boost::asio::any_io_executor& loop,
                           std::chrono::milliseconds keepalive, std::string_view media_type)
    : exchange_(std::move(exchange)),
      silence_(loop),
      grace_(loop),
      keepalive_(keepalive),
      media_type_(media_type),
      last_(std::chrono::steady_clock::now()) {}

void StreamWriter::watch_silence(Sign sign) {
  sign_ = std::move(sign);
  wait();
}

// One timer that looks back, instead of one that every token sets anew.
void StreamWriter::wait() {
  silence_.expires_at(last_ + keepalive_);
  silence_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->time_is_up();
  });
}

void StreamWriter::time_is_up() {
  if (!exchange_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ >= keepalive_) {
    start();
    exchange_->send(sign_());
    last_ = now;
  }
  wait();
}

void StreamWriter::start() {
  if (started_ || !exchange_) return;
  started_ = true;
  grace_.cancel();
  exchange_->start_stream(media_type_);
}

void StreamWriter::start_within(std::chrono::milliseconds grace) {
  if (started_ || !exchange_) return;
  grace_.expires_after(grace);
  grace_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->start();
  });
}

void StreamWriter::send(std::string bytes) {
  if (!exchange_) return;
  start();
  last_ = std::chrono::steady_clock::now();
  exchange_->send(std::move(bytes));
}

void StreamWriter::done(std::string bytes) {
  if (!exchange_) return;
  send(std::move(bytes));
  const auto exchange = exchange_;
  drop();
  exchange->finish(HttpExchange::After::keep_alive);
}

void StreamWriter::fail(std::string bytes) {
  if (!exchange_) return;
  send(std::move(bytes));
  const auto exchange = exchange_;
  drop();
  exchange->finish(HttpExchange::After::close);
}

void StreamWriter::refuse(HttpAnswer answer) {
  if (!exchange_) return;
  const auto exchange = exchange_;
  drop();
  exchange->answer(std::move(answer));
}

void StreamWriter::drop() {
  exchange_ = nullptr;
  silence_.cancel();
  grace_.cancel();
}

}  // namespace flotilla
