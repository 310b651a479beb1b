// The exchange of one request on a session: HTTP's outer form of answers and streams.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/http_exchange.h"

namespace flotilla {

class HttpSession;

class SessionExchange : public HttpExchange {
 public:
  struct Form {
    bool http_1_0 = false, keep_alive = true;
  };
  SessionExchange(std::shared_ptr<HttpSession> session, HttpRequest request, Form form);
  ~SessionExchange() override;

  HttpRequest& request() override { return request_; }
  void answer(HttpAnswer answer) override;
  void start_stream(std::string_view content_type) override;
  void send(std::string piece) override;
  void finish(After after) override;
  void on_end(std::function<void(ExchangeEnd)> on_end) override;

 private:
  std::string head(const HttpAnswer& answer, bool keep_alive);
  void whole(bool keep_alive);

  std::shared_ptr<HttpSession> session_;  // empty once the answer is whole
  HttpRequest request_;
  Form form_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  unsigned status_ = 0;  // 0: no answer has begun
};

}  // namespace flotilla
