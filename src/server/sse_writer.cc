#include "server/sse_writer.h"

#include <format>
#include <utility>

namespace flotilla {

SseWriter::SseWriter(std::shared_ptr<HttpExchange> exchange, const boost::asio::any_io_executor& loop,
                     std::chrono::milliseconds keepalive)
    : exchange_(std::move(exchange)),
      silence_(loop),
      grace_(loop),
      keepalive_(keepalive),
      last_(std::chrono::steady_clock::now()) {}

void SseWriter::watch_silence(Word word) {
  word_ = std::move(word);
  wait();
}

// One timer that looks back, instead of one that every token sets anew.
void SseWriter::wait() {
  silence_.expires_at(last_ + keepalive_);
  silence_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->time_is_up();
  });
}

void SseWriter::time_is_up() {
  if (!exchange_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ >= keepalive_) {
    start();
    exchange_->send(std::format(": {}\n\n", word_()));
    last_ = now;
  }
  wait();
}

void SseWriter::start() {
  if (started_ || !exchange_) return;
  started_ = true;
  grace_.cancel();
  exchange_->start_stream("text/event-stream; charset=utf-8");
}

void SseWriter::start_within(std::chrono::milliseconds grace) {
  if (started_ || !exchange_) return;
  grace_.expires_after(grace);
  grace_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->start();
  });
}

void SseWriter::event(const Json& data) {
  if (!exchange_) return;
  start();
  last_ = std::chrono::steady_clock::now();
  exchange_->send("data: " + dump(data) + "\n\n");
}

void SseWriter::done() {
  if (!exchange_) return;
  start();
  exchange_->send("data: [DONE]\n\n");
  const auto exchange = exchange_;
  drop();
  exchange->finish(HttpExchange::After::keep_alive);
}

void SseWriter::fail(const ApiError& error) {
  if (!exchange_) return;
  const auto exchange = exchange_;
  if (started_) event(error_body(error));
  drop();
  if (!started_) return exchange->answer(error_answer(error));
  exchange->finish(HttpExchange::After::close);
}

void SseWriter::drop() {
  exchange_ = nullptr;
  silence_.cancel();
  grace_.cancel();
}

}  // namespace flotilla
