// The arithmetic of a benchmark: what one run's moments say, and what several runs in turns say together. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace flotilla {

// Nearest rank: the smallest value that at least `share` (0 to 1) of all values do not exceed. 0 where there is none.
double percentile(std::span<const double> values, double share);
double median(std::span<const double> values);  // of an even count the mean of the middle two; 0 where there is none

// One answer as its client saw it: seconds since its request was sent at which each token came. Tokens that come
// together have the same moment.
struct AnswerTimes {
  double asked_at = 0;                // seconds since the run began
  std::vector<double> token_seconds;  // ascending
};

// What one run of some streams at the same time says.
struct RunFigures {
  std::uint32_t streams = 0;
  double first_token_seconds = 0;                             // median over the streams
  double prompt_tokens_per_second = 0;                        // of a stream: its prompt until its first token
  double generation_tokens_per_second = 0;                    // of a stream, after its first token
  double gap_p50_seconds = 0, gap_p95_seconds = 0;            // between tokens, those of all streams together
  double total_tokens_per_second = 0;                         // of all streams: tokens generated over wall time
  std::optional<double> messages_per_token, bytes_per_token;  // between machines; absent where nobody counts them
};

RunFigures figures_of(std::span<const AnswerTimes> answers, std::uint32_t prompt_tokens);

// Medians over runs of the same kind, field by field.
RunFigures medians_of(std::span<const RunFigures> runs);

// How many times as fast the second side was, from pairs of runs that followed each other: the median of the pairs'
// ratios, and their extremes. Above 1: the second is faster.
struct Gain {
  double ratio = 0, least = 0, most = 0;
};
// Rates: second over first. Times: first over second. Pairs with a 0 in them say nothing.
Gain gain_of_rates(std::span<const double> first, std::span<const double> second);
Gain gain_of_times(std::span<const double> first, std::span<const double> second);

}  // namespace flotilla
