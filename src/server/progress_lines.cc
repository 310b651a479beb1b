#include "server/progress_lines.h"

#include "server/json_answer.h"

namespace flotilla {

void ProgressLines::progress(nlohmann::json progress) { say(nlohmann::json{{"progress", std::move(progress)}}); }

void ProgressLines::say(const nlohmann::json& line) {
  if (ended_ || !style_.streams) return;
  if (!std::exchange(started_, true)) exchange_->start_stream("application/x-ndjson");
  exchange_->send(dump(line) + "\n");
}

void ProgressLines::done(Result<nlohmann::json> result) {
  if (ended_) return;
  if (result) {
    const nlohmann::json last{{result_, std::move(*result)}};
    say(last);
    ended_ = true;
    if (!style_.streams) return answer_json(*exchange_, last);
    return exchange_->finish(HttpExchange::After::keep_alive);
  }
  ended_ = true;
  auto refusal = style_.refusal(ApiError::from(std::move(result).error()));
  if (!started_) return exchange_->answer(std::move(refusal));
  exchange_->send(std::move(refusal).body + "\n");
  exchange_->finish(HttpExchange::After::close);
}

void ProgressLines::end(ExchangeEnd end) {
  if (end == ExchangeEnd::stopping) return done(fail(Code::unavailable, "[server] this node is stopping"));
  if (!std::exchange(ended_, true) && on_left_) std::exchange(on_left_, nullptr)();
}

std::shared_ptr<ProgressLines> lines_to(const std::shared_ptr<HttpExchange>& exchange, const char* result,
                                        LinesStyle style) {
  const auto lines = std::make_shared<ProgressLines>(exchange, result, style);
  exchange->on_end([weak = std::weak_ptr(lines)](ExchangeEnd end) {
    if (const auto live = weak.lock()) live->end(end);
  });
  return lines;
}

}  // namespace flotilla
