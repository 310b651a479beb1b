// A stream of server-sent events in OpenAI's manner: "data: {json}\n\n" …, "data: [DONE]\n\n"; comments while silent,
// so that no proxy takes a long prefill for a dead connection.
//
// Until start(), a failure still has an HTTP status of its own. A stream that nobody started for one keep-alive period
// (a model that loads slowly) starts itself. Thread: the loop's.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

#include "server/http_exchange.h"
#include "server/json_body.h"
#include "server/openai_errors.h"

namespace flotilla {

class SseWriter : public std::enable_shared_from_this<SseWriter> {
 public:
  SseWriter(std::shared_ptr<HttpExchange> exchange, const boost::asio::any_io_executor& loop,
            std::chrono::milliseconds keepalive);

  // Once, after construction. `word` says what a comment says: one word or two.
  using Word = std::function<std::string_view()>;
  void watch_silence(Word word);
  void start();                                        // the headers; again does nothing
  void start_within(std::chrono::milliseconds grace);  // unless something happens before
  void event(const Json& data);                        // starts where needed
  void done();                                         // [DONE] and the end
  void fail(const ApiError& error);  // an error's status, or an error event where headers are out; the end
  void drop();                       // the client is gone

 private:
  void wait();
  void time_is_up();

  std::shared_ptr<HttpExchange> exchange_;  // empty after the end
  boost::asio::steady_timer silence_, grace_;
  std::chrono::milliseconds keepalive_;
  Word word_;
  std::chrono::steady_clock::time_point last_;
  bool started_ = false;
};

}  // namespace flotilla
