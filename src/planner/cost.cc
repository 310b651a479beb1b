#include "planner/cost.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/units.h"
#include "base/words.h"
#include "model/overlap.h"

namespace flotilla {
namespace {

double as_gib(double bytes) { return bytes / static_cast<double>(gib); }

// Between two measured numbers of rows time goes in a straight line; beyond the last, each row costs as much again.
double at_rows(const KernelRate& kernel, double rows) {
  const auto& seconds = kernel.seconds_per_gib;
  if (rows <= kernel_rows.front()) return seconds.front();
  if (rows >= kernel_rows.back()) return seconds.back() * rows / kernel_rows.back();
  const auto above = static_cast<std::size_t>(std::ranges::lower_bound(kernel_rows, rows) - kernel_rows.begin());
  const double low = kernel_rows[above - 1], high = kernel_rows[above];
  return std::lerp(seconds[above - 1], seconds[above], (rows - low) / (high - low));
}

// A type that was not measured is taken for the slowest of those that were.
double seconds_per_gib(const MachineRates& rates, const std::string& type, double rows) {
  double slowest = 0;
  for (const KernelRate& kernel : rates.kernels) {
    const double seconds = at_rows(kernel, rows);
    if (lower_case(kernel.type) == lower_case(type)) return seconds;
    slowest = std::max(slowest, seconds);
  }
  return slowest;
}

void add_mean(std::vector<TypedBytes>& sums, const std::vector<TypedBytes>& parts) {
  for (const TypedBytes& part : parts) {
    const auto same = std::ranges::find(sums, part.type, &TypedBytes::type);
    if (same != sums.end()) {
      same->bytes += part.bytes;
    } else {
      sums.push_back(part);
    }
  }
}

}  // namespace

ExpectedUse use_within(const ExpectedUse& use, std::uint32_t context_tokens) {
  const double share = std::min(1.0, static_cast<double>(context_tokens) / (use.prompt_tokens + use.answer_tokens));
  return {.prompt_tokens = std::max(1u, static_cast<std::uint32_t>(use.prompt_tokens * share)),
          .answer_tokens = std::max(1u, static_cast<std::uint32_t>(use.answer_tokens * share))};
}

ModelCost::ModelCost(const ModelShape& shape, const ExpectedUse& use, const Overheads& overheads)
    : use_(use),
      overheads_(overheads),
      output_(shape.output_matrix),
      width_(shape.embedding_length),
      vocabulary_(shape.vocabulary) {
  const std::size_t count = shape.layers.size();
  double seen = 0, windowed = 0;
  const double context = seen_while_answering();
  for (const LayerShape& layer : shape.layers) {
    // Who made a shape by hand need not say the types: then all bytes are of one.
    if (layer.matrices.empty() && layer.experts.empty())
      add_mean(matrices_, {{.type = "", .bytes = layer.weight_bytes}});
    add_mean(matrices_, layer.matrices);
    add_mean(experts_, layer.experts);
    const double bytes = static_cast<double>(layer.cache.bytes_per_token);
    cache_bytes_ += bytes / static_cast<double>(count);
    seen += bytes * context;
    windowed += bytes * (layer.cache.window == 0 ? context : std::min<double>(context, layer.cache.window));
  }
  window_tokens_ = windowed < seen ? context * windowed / seen : 0;
  for (auto* parts : {&matrices_, &experts_})
    for (TypedBytes& part : *parts) part.bytes /= count;
  experts_count_ = shape.experts;
  experts_used_ = shape.experts_used;
}

// A row takes `used` of all experts; b rows touch 1 - (1 - used/all)^b of them, each then with more than one row.
double ModelCost::products(const MachineRates& rates, double rows) const {
  double seconds = 0;
  for (const TypedBytes& part : matrices_)
    seconds += as_gib(static_cast<double>(part.bytes)) * seconds_per_gib(rates, part.type, rows);
  if (experts_count_ <= 0) return seconds;
  const double touched = 1 - std::pow(1 - experts_used_ / experts_count_, rows);
  const double rows_each = rows * experts_used_ / (experts_count_ * touched);
  for (const TypedBytes& part : experts_)
    seconds += as_gib(static_cast<double>(part.bytes) * touched) * seconds_per_gib(rates, part.type, rows_each);
  return seconds;
}

double ModelCost::attention(const MachineRates& rates, double rows, double seen_tokens) const {
  const bool as_a_prompt = rows >= attention_prompt_rows && rates.attention_prompt_bytes_per_second > 0;
  const double rate = as_a_prompt ? rates.attention_prompt_bytes_per_second : rates.attention_bytes_per_second;
  if (rate < 1) return 0;  // not measured
  const double seen = window_tokens_ > 0 ? std::min(seen_tokens, window_tokens_) : seen_tokens;
  return rows * seen * cache_bytes_ / rate;
}

double ModelCost::layer_seconds(const MachineRates& rates, double rows, double seen_tokens) const {
  return rates.layer_seconds + products(rates, rows) + attention(rates, rows, seen_tokens);
}

double ModelCost::layer_seconds(std::span<const SharedWork> group, const LinkCost& worst, double rows,
                                double seen_tokens) const {
  if (group.size() < 2) return layer_seconds(*group.front().rates, rows, seen_tokens);
  double own = 0;
  for (const SharedWork& member : group) own = std::max(own, member.rates->layer_seconds);
  const std::size_t members = group.size();
  const Overlap overlap = overlap_of(width_, worst.bytes_per_second / overheads_.value_bytes);
  if (rows < overlap.rows_in_two_parts_min)
    return own + shared_seconds(group, rows, 1, seen_tokens) + 2 * exchange_seconds(members, worst, rows);
  // Two parts take turns, so a layer takes as long as both compute, as all they send, or as the way of one of them.
  const double computing = shared_seconds(group, rows, 2, seen_tokens);
  const double sending = 2 * static_cast<double>(members - 1) * wire_seconds(worst, rows);
  const double one_of_them = computing / 2 + 2 * exchange_seconds(members, worst, rows / 2);
  return own + std::max({computing, sending, one_of_them}) + overheads_.overlap_seconds;
}

// Of a layer, what its slowest member computes between the sums. Each part reads all weights; what its rows see they
// read as the rows of the whole step do.
double ModelCost::shared_seconds(std::span<const SharedWork> group, double rows, int parts, double seen_tokens) const {
  double slowest = 0, whole = 0;
  for (const SharedWork& member : group) {
    const double work = parts * products(*member.rates, rows / parts) + attention(*member.rates, rows, seen_tokens);
    slowest = std::max(slowest, member.share * work);
    whole = std::max(whole, work);
  }
  return (1 - overheads_.whole_share) * slowest + overheads_.whole_share * whole;
}

double ModelCost::head_seconds(const MachineRates& rates, double rows) const {
  return as_gib(static_cast<double>(output_.bytes)) * seconds_per_gib(rates, output_.type, rows);
}

double ModelCost::hop_seconds(const LinkCost& link, double rows) const {
  return overheads_.hop_seconds + link.latency_seconds + wire_seconds(link, rows);
}

double ModelCost::wire_seconds(const LinkCost& link, double rows) const {
  return rows * width_ * overheads_.value_bytes / link.bytes_per_second;
}

double ModelCost::head_seconds(std::span<const SharedWork> group, const LinkCost& worst, double rows) const {
  double slowest = 0;
  for (const SharedWork& member : group) slowest = std::max(slowest, member.share * head_seconds(*member.rates, rows));
  if (group.size() < 2) return slowest;
  const double logits_bytes = rows * (1 - group.front().share) * vocabulary_ * sizeof(float);
  return slowest + overheads_.exchange_seconds + worst.latency_seconds + logits_bytes / worst.bytes_per_second;
}

// Each to all at once: round a ring in pieces would move less, but waits 2(g-1) times, and groups are small.
double ModelCost::exchange_seconds(std::size_t members, const LinkCost& worst, double rows) const {
  const double others = static_cast<double>(members) - 1;
  return overheads_.exchange_seconds + worst.latency_seconds + others * wire_seconds(worst, rows);
}

// Share i takes share * seconds[i]. Those whose memory holds less than their part get what it holds, the others more,
// until no one is over: each round settles at least one member.
std::vector<double> fair_shares(std::span<const double> seconds, std::span<const double> most) {
  if (std::accumulate(most.begin(), most.end(), 0.0) < 1) return {};
  std::vector<double> shares(seconds.size(), -1);
  double left = 1;
  for (std::size_t round = 0; round < seconds.size(); ++round) {
    double speed = 0;
    for (std::size_t i = 0; i < shares.size(); ++i)
      if (shares[i] < 0) speed += 1 / seconds[i];
    bool settled = false;
    double taken = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (shares[i] >= 0 || left / (speed * seconds[i]) <= most[i]) continue;
      shares[i] = most[i];
      taken += most[i];
      settled = true;
    }
    left -= taken;
    if (settled) continue;
    for (std::size_t i = 0; i < shares.size(); ++i)
      if (shares[i] < 0) shares[i] = left / (speed * seconds[i]);
    break;
  }
  return shares;
}

}  // namespace flotilla
