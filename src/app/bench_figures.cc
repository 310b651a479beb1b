#include "app/bench_figures.h"

#include <algorithm>
#include <cmath>

namespace flotilla {
namespace {

std::vector<double> ascending(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  return sorted;
}

double median_of(std::span<const RunFigures> runs, double RunFigures::* field) {
  std::vector<double> values;
  for (const RunFigures& run : runs) values.push_back(run.*field);
  return median(values);
}

std::optional<double> median_of(std::span<const RunFigures> runs, std::optional<double> RunFigures::* field) {
  std::vector<double> values;
  for (const RunFigures& run : runs)
    if (run.*field) values.push_back(*(run.*field));
  return values.empty() ? std::nullopt : std::optional(median(values));
}

double rate(std::size_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

}  // namespace

double percentile(std::span<const double> values, double share) {
  if (values.empty()) return 0;
  const std::vector<double> sorted = ascending(values);
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

double median(std::span<const double> values) {
  if (values.empty()) return 0;
  const std::vector<double> sorted = ascending(values);
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

RunFigures figures_of(std::span<const AnswerTimes> answers, std::uint32_t prompt_tokens) {
  std::vector<double> first, prompt, generation, gaps;
  double began = 0, ended = 0;
  std::size_t tokens = 0;
  for (const AnswerTimes& answer : answers) {
    const auto& seconds = answer.token_seconds;
    if (seconds.empty()) continue;
    first.push_back(seconds.front());
    prompt.push_back(rate(prompt_tokens, seconds.front()));
    generation.push_back(rate(seconds.size() - 1, seconds.back() - seconds.front()));
    for (std::size_t i = 1; i < seconds.size(); ++i) gaps.push_back(seconds[i] - seconds[i - 1]);
    began = tokens == 0 ? answer.asked_at : std::min(began, answer.asked_at);
    ended = std::max(ended, answer.asked_at + seconds.back());
    tokens += seconds.size();
  }
  return {.streams = static_cast<std::uint32_t>(answers.size()),
          .first_token_seconds = median(first),
          .prompt_tokens_per_second = median(prompt),
          .generation_tokens_per_second = median(generation),
          .gap_p50_seconds = percentile(gaps, 0.5),
          .gap_p95_seconds = percentile(gaps, 0.95),
          .total_tokens_per_second = rate(tokens, ended - began),
          .messages_per_token = {},
          .bytes_per_token = {}};
}

RunFigures medians_of(std::span<const RunFigures> runs) {
  if (runs.empty()) return {};
  return {.streams = runs.front().streams,
          .first_token_seconds = median_of(runs, &RunFigures::first_token_seconds),
          .prompt_tokens_per_second = median_of(runs, &RunFigures::prompt_tokens_per_second),
          .generation_tokens_per_second = median_of(runs, &RunFigures::generation_tokens_per_second),
          .gap_p50_seconds = median_of(runs, &RunFigures::gap_p50_seconds),
          .gap_p95_seconds = median_of(runs, &RunFigures::gap_p95_seconds),
          .total_tokens_per_second = median_of(runs, &RunFigures::total_tokens_per_second),
          .messages_per_token = median_of(runs, &RunFigures::messages_per_token),
          .bytes_per_token = median_of(runs, &RunFigures::bytes_per_token)};
}

Gain gain_of_rates(std::span<const double> first, std::span<const double> second) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(first.size(), second.size()); ++i)
    if (first[i] > 0 && second[i] > 0) ratios.push_back(second[i] / first[i]);
  if (ratios.empty()) return {};
  const auto [least, most] = std::ranges::minmax(ratios);
  return {median(ratios), least, most};
}

Gain gain_of_times(std::span<const double> first, std::span<const double> second) {
  return gain_of_rates(second, first);
}

}  // namespace flotilla
