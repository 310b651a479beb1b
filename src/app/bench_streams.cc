#include "app/bench_streams.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <thread>

#include "app/api_client.h"
#include "app/interrupt.h"

namespace flotilla {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Ordinary tokens: the first of a vocabulary steer (end of text, roles), the last are rare or added by hand.
constexpr std::uint32_t ordinary_first = 1000, ordinary_end = 20000;

json request_of(const StreamsOrder& order, std::uint32_t stream) {
  return {{"model", order.model},    {"prompt", random_prompt(order, stream)},
          {"stream", true},          {"max_tokens", order.tokens},
          {"temperature", 0},        {"ignore_eos", true},
          {"cache_prompt", false},   {"speculate", false},
          {"return_token_ids", true}};
}

// How many tokens an event brought; none, and `error` set, where it brought an error.
std::size_t tokens_of(const json& event, std::optional<Error>& error) {
  if (event.contains("error") && event["error"].is_object()) {
    const json message = event["error"].value("message", json());
    error = Error{Code::unavailable, message.is_string() ? message.get<std::string>() : "the node reported an error"};
    return 0;
  }
  if (!event.contains("choices") || !event["choices"].is_array() || event["choices"].empty()) return 0;
  const json ids = event["choices"][0].value("token_ids", json::array());
  return ids.is_array() ? ids.size() : 0;
}

Result<AnswerTimes> ask(const StreamsOrder& order, std::uint32_t stream, Clock::time_point began) {
  ApiClient client(order.api_url, order.key);
  AnswerTimes answer;
  std::optional<Error> error;
  const json body = request_of(order, stream);
  const auto asked = Clock::now();
  answer.asked_at = std::chrono::duration<double>(asked - began).count();
  const auto streamed = client.post_lines("/v1/completions", body, [&](std::string_view line) {
    if (!line.starts_with("data: {")) return !interrupted();
    const double now = seconds_since(asked);  // before parsing: that is our time, not the node's
    const json event = json::parse(line.substr(6), nullptr, false);
    if (event.is_object()) answer.token_seconds.insert(answer.token_seconds.end(), tokens_of(event, error), now);
    return !interrupted();
  });
  if (interrupted()) return fail(Code::cancelled, "[app] stopped by Ctrl-C");
  if (!streamed) return fail(streamed.error());
  if (error) return fail(*error);
  if (answer.token_seconds.size() != order.tokens)
    return fail(Code::internal, "[app] expected an answer of {} tokens but got {}", order.tokens,
                answer.token_seconds.size());
  return answer;
}

}  // namespace

std::vector<std::uint32_t> random_prompt(const StreamsOrder& order, std::uint32_t stream) {
  const bool large = order.vocabulary == 0 || order.vocabulary > 2 * ordinary_first;
  const std::uint32_t first = large ? ordinary_first : order.vocabulary / 2;
  const std::uint32_t end = order.vocabulary == 0 ? ordinary_end : std::min(ordinary_end, order.vocabulary);
  std::seed_seq seeds{static_cast<std::uint32_t>(order.seed), order.streams, stream};
  std::mt19937 random(seeds);
  std::vector<std::uint32_t> prompt(order.prompt_tokens);
  std::ranges::generate(prompt, [&] { return first + static_cast<std::uint32_t>(random()) % (end - first); });
  return prompt;
}

Result<std::vector<AnswerTimes>> run_streams(const StreamsOrder& order) {
  std::vector<Result<AnswerTimes>> results(order.streams);
  const auto began = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < order.streams; ++i)
      threads.emplace_back([&, i] { results[i] = ask(order, i, began); });
  }
  std::vector<AnswerTimes> answers;
  for (auto& result : results) {
    if (!result) return fail(std::move(result).error());
    answers.push_back(std::move(*result));
  }
  return answers;
}

}  // namespace flotilla
