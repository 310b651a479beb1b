// The lines of one load, measurement or pull, the last called `result`. The work itself goes on when its watcher
// leaves; it is told of that where it wants to know. Thread: the loop's.
//
// A refusal before the first line is an answer of its own; later it is a line with the same body.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/result.h"
#include "server/api_error.h"
#include "server/http_exchange.h"

namespace flotilla {

struct LinesStyle {
  HttpAnswer (*refusal)(const ApiError& error) = error_answer;
  bool streams = true;  // false: the result alone, as one body
};

class ProgressLines {
 public:
  ProgressLines(std::shared_ptr<HttpExchange> exchange, const char* result, LinesStyle style)
      : exchange_(std::move(exchange)), result_(result), style_(style) {}

  void progress(nlohmann::json progress);
  void say(const nlohmann::json& line);  // as it is
  void done(Result<nlohmann::json> result);
  void on_left(std::function<void()> told) { on_left_ = std::move(told); }
  void end(ExchangeEnd end);

 private:
  const std::shared_ptr<HttpExchange> exchange_;
  const char* const result_;
  const LinesStyle style_;
  std::function<void()> on_left_;
  bool started_ = false, ended_ = false;
};

std::shared_ptr<ProgressLines> lines_to(const std::shared_ptr<HttpExchange>& exchange, const char* result,
                                        LinesStyle style = {});

}  // namespace flotilla
