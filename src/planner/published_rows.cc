#include "planner/published_rows.h"

#include <cmath>
#include <map>
#include <numeric>

#include "base/check.h"
#include "base/units.h"

namespace flotilla {
namespace {

constexpr ImaginedMachine m3_ultra() {
  return {.memory_bytes = 480 * gib, .bytes_per_second = 819e9, .bandwidth_fraction = 1};
}

constexpr ImaginedMachine dgx_spark() {
  return {.memory_bytes = 110 * gib, .bytes_per_second = 273e9, .bandwidth_fraction = 1};
}

// A few hundred tokens of context, as benchmarks have: its attention is small beside the weights.
constexpr ExpectedUse benchmark{.prompt_tokens = 256, .answer_tokens = 128};

struct OneToken {
  double layers = 0, head = 0;  // seconds at the whole nominal bandwidth
  double seconds() const { return layers + head; }
};

OneToken nominal(const PublishedRow& row) {
  const auto shape = shape_of(row.model);
  check(shape.has_value(), "the rows' models are whole");
  const ModelCost cost(*shape, benchmark, {});
  ImaginedFleet alone;
  alone.machines = {row.machine};
  const MachineRates rates = imagine(alone, *shape).self().info.rates;
  return {row.model.layers * cost.layer_seconds(rates, 1, cost.seen_while_answering()), cost.head_seconds(rates, 1)};
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double geometric_mean(std::vector<double> values) {
  for (double& value : values) value = std::log(value);
  return std::exp(mean(values));
}

// What each hop of the ring took beyond the wire, where one machine's time is known.
double hop_of(const PublishedRow& row, const PublishedRate& rate) {
  const double more = 1 / rate.tokens_per_second - 1 / row.rates.front().tokens_per_second;
  const auto shape = shape_of(row.model);
  const double wire = ModelCost(*shape, benchmark, {.hop_seconds = 0}).hop_seconds(row.link.cost, 1);
  return more / rate.machines - wire;
}

// layers * (share + (1 - share) / g) + head / g + sums = what was measured.
double whole_share_of(const PublishedRow& row, const PublishedRate& rate) {
  const OneToken one = nominal(row);
  const double fraction = one.seconds() * row.rates.front().tokens_per_second;
  const double layers = one.layers / fraction, head = one.head / fraction, parts = rate.machines;
  const auto shape = shape_of(row.model);
  const double sums =
      2 * row.model.layers * ModelCost(*shape, benchmark, {}).exchange_seconds(rate.machines, row.link.cost, 1);
  return ((1 / rate.tokens_per_second - sums - head / parts) / layers - 1 / parts) / (1 - 1 / parts);
}

}  // namespace

ModelDescription qwen3_235b(double bits) {
  return {.name = "qwen3-235b-a22b",
          .layers = 94,
          .width = 4096,
          .heads = 64,
          .kv_heads = 4,
          .head_length = 128,
          .vocabulary = 151936,
          .context = 40960,
          .experts = 128,
          .experts_used = 8,
          .expert_feed_forward = 1536,
          .bits = bits};
}

ModelDescription deepseek_v3(double bits) {
  return {.name = "deepseek-v3",
          .layers = 61,
          .width = 7168,
          .heads = 128,
          .head_length = 128,
          .feed_forward = 18432,
          .vocabulary = 129280,
          .context = 131072,
          .experts = 256,
          .experts_used = 8,
          .experts_shared = 1,
          .expert_feed_forward = 2048,
          .dense_layers = 3,
          .latent_length = 512,
          .rotary_length = 64,
          .query_latent_length = 1536,
          .bits = bits};
}

ModelDescription dense_27b(double bits) {
  return {.name = "27b",
          .layers = 62,
          .width = 5376,
          .heads = 32,
          .kv_heads = 16,
          .head_length = 128,
          .feed_forward = 21504,
          .vocabulary = 262144,
          .context = 131072,
          .bits = bits};
}

const std::vector<PublishedRow>& calibration_rows() {
  const ImaginedLink switched{.name = "2.5 GbE", .cost = {120e-6, 0.29e9}, .through_switch = true};
  const ImaginedLink cable{.name = "200 GbE cable, TCP", .cost = {60e-6, 5e9}, .through_switch = false};
  const ImaginedLink rdma{.name = "Thunderbolt 5, RDMA", .cost = {15e-6, 5e9}, .through_switch = false};
  static const std::vector<PublishedRow> rows{
      {.name = "llama.cpp RPC, Qwen3-235B 8-bit, 1, 2 and 4 M3 Ultra on 2.5 GbE",
       .source = "J. Geerling, 1.5 TB of VRAM on Mac Studio (2025)",
       .model = qwen3_235b(8.5),
       .machine = m3_ultra(),
       .link = switched,
       .rates = {{1, 20.4}, {2, 17.2}, {4, 15.2}}},
      {.name = "llama.cpp RPC, 27B Q4_K_M, 1 and 2 DGX Spark on a cable",
       .source = "LLMKube, thread 1423",
       .model = dense_27b(4.85),
       .machine = dgx_spark(),
       .link = cable,
       .rates = {{1, 12.83}, {2, 12.42}}},
      {.name = "exo, tensor parallel, Qwen3-235B 8-bit, 1, 2 and 4 M3 Ultra, RDMA over Thunderbolt 5",
       .source = "J. Geerling, 1.5 TB of VRAM on Mac Studio (2025)",
       .model = qwen3_235b(8.5),
       .machine = m3_ultra(),
       .link = rdma,
       .in_group = true,
       .rates = {{1, 19.5}, {2, 26.2}, {4, 31.9}}},
      {.name = "exo, tensor parallel, DeepSeek V3.1 671B 4-bit, 1, 2 and 4 M3 Ultra, RDMA over Thunderbolt 5",
       .source = "J. Geerling, 1.5 TB of VRAM on Mac Studio (2025)",
       .model = deepseek_v3(4.5),
       .machine = m3_ultra(),
       .link = rdma,
       .in_group = true,
       .rates = {{1, 21.1}, {2, 27.8}, {4, 32.5}}},
  };
  return rows;
}

PublishedConstants calibrate(const std::vector<PublishedRow>& rows) {
  std::map<bool, std::vector<double>> bandwidths, hops;  // on Macs; over a switch
  std::vector<double> shares;
  for (const PublishedRow& row : rows) {
    const bool is_mac = row.machine.bytes_per_second > 300e9;
    bandwidths[is_mac].push_back(nominal(row).seconds() * row.rates.front().tokens_per_second);
    for (std::size_t i = 1; i < row.rates.size(); ++i) {
      if (row.in_group)
        shares.push_back(whole_share_of(row, row.rates[i]));
      else
        hops[row.link.through_switch].push_back(hop_of(row, row.rates[i]));
    }
  }
  return {.mac_bandwidth = geometric_mean(bandwidths[true]),
          .other_bandwidth = geometric_mean(bandwidths[false]),
          .switch_hop_seconds = mean(hops[true]),
          .cable_hop_seconds = mean(hops[false]),
          .experts_whole_share = mean(shares)};
}

}  // namespace flotilla
