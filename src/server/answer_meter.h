// Times one request to a model and counts its tokens, for the counters of that model. Thread: the loop's.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/traffic.h"
#include "wire/generate.h"

namespace flotilla {

class AnswerMeter {
 public:
  using Clock = std::chrono::steady_clock;

  explicit AnswerMeter(std::shared_ptr<ServerTraffic> traffic) : traffic_(std::move(traffic)), began_(Clock::now()) {}

  void submitted(const std::string& model, std::size_t prompt_tokens, std::size_t choices);
  void took(std::size_t choice, const TokenEvent& event);
  void finished(FinishReason reason);  // a choice
  void ended(std::size_t reused_tokens);
  void failed(Code code);
  void abandoned();  // by its client

  std::string words() const;  // for the log: "SmolLM2, 12 tokens in, 30 out"; empty where no model was asked

 private:
  void count_end(std::string_view reason);

  std::shared_ptr<ServerTraffic> traffic_;
  Clock::time_point began_;
  std::string model_;
  ModelTraffic* counts_ = nullptr;  // of the model; none before submitted()
  std::size_t prompt_tokens_ = 0, generated_tokens_ = 0, choices_open_ = 0;
  std::vector<std::optional<Clock::time_point>> last_;  // of each choice: its token before
};

}  // namespace flotilla
