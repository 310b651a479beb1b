// What `flotilla bench` found: both sides' runs in pairs, and how they are told: a table, JSON, a picture, a sentence.
// Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/bar_chart.h"
#include "app/bench_figures.h"

namespace flotilla {

// What the planner expected of one user (GET /placements, /plan); absent where it had no measurements.
struct Prediction {
  double token_seconds = 0, prompt_seconds = 0;  // between tokens; for prompt_tokens of a prompt
  std::uint32_t prompt_tokens = 0;
};
std::optional<Prediction> prediction_of(const nlohmann::json& placement);

struct BenchSide {
  std::string name;                           // "studio", "studio + laptop"
  nlohmann::json placement;                   // as GET /placements has it
  std::vector<std::vector<RunFigures>> runs;  // [which of the streams' counts][pair]
};

struct BenchReport {
  std::string model;
  std::uint32_t prompt_tokens = 0, tokens = 0, pairs = 0;
  std::vector<std::uint32_t> streams;  // ascending
  BenchSide single;
  std::optional<BenchSide> cluster;  // absent: the fleet has one machine
  std::vector<std::string> notes;    // sentences: what was not counted, what the planner would have done
};

nlohmann::json bench_json(const BenchReport& report);
std::string bench_table(const BenchReport& report);
std::string bench_sentence(const BenchReport& report);  // which is faster, and by how much
BarChart bench_chart(const BenchReport& report);

}  // namespace flotilla
