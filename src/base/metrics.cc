#include "base/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <format>
#include <numeric>

namespace flotilla {
namespace {

std::string_view to_string(MetricsText::Kind kind) {
  switch (kind) {
    case MetricsText::Kind::counter:
      return "counter";
    case MetricsText::Kind::gauge:
      return "gauge";
    case MetricsText::Kind::histogram:
      return "histogram";
  }
  return "untyped";
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return std::format("{}", value);
}

std::string joined(MetricsText::Labels labels) {
  std::string out;
  for (const auto& [name, value] : labels)
    out += std::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, escaped(value));
  return out;
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

void Histogram::observe(double value) {
  ++counts_[static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin())];
  sum_ += value;
}

std::uint64_t Histogram::count_up_to(std::size_t bound) const {
  return std::accumulate(counts_.begin(), counts_.begin() + static_cast<std::ptrdiff_t>(bound) + 1, std::uint64_t{0});
}

std::uint64_t Histogram::count() const { return count_up_to(bounds_.size()); }

std::span<const double> first_token_bounds() {
  static constexpr std::array bounds{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0};
  return bounds;
}

std::span<const double> between_tokens_bounds() {
  static constexpr std::array bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0};
  return bounds;
}

std::span<const double> answer_bounds() {
  static constexpr std::array bounds{0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0};
  return bounds;
}

void MetricsText::family(std::string_view name, Kind kind, std::string_view help) {
  name_ = name;
  told_.clear();
  text_ += std::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, to_string(kind));
}

bool MetricsText::is_new(Labels labels) { return told_.insert(joined(labels)).second; }

void MetricsText::line(std::string_view suffix, Labels labels, std::string_view bound, double value) {
  std::string inside = joined(labels);
  if (!bound.empty()) inside += std::format("{}le=\"{}\"", inside.empty() ? "" : ",", bound);
  if (!inside.empty()) inside = "{" + inside + "}";
  text_ += std::format("{}{}{} {}\n", name_, suffix, inside, number(value));
}

void MetricsText::sample(double value, Labels labels) {
  if (is_new(labels)) line("", labels, "", value);
}

void MetricsText::sample(const Histogram& histogram, Labels labels) {
  if (!is_new(labels)) return;
  for (std::size_t i = 0; i < histogram.bounds().size(); ++i)
    line("_bucket", labels, number(histogram.bounds()[i]), static_cast<double>(histogram.count_up_to(i)));
  line("_bucket", labels, "+Inf", static_cast<double>(histogram.count()));
  line("_sum", labels, "", histogram.sum());
  line("_count", labels, "", static_cast<double>(histogram.count()));
}

void MetricsText::counter(std::string_view name, std::string_view help, double value) {
  family(name, Kind::counter, help);
  sample(value);
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
  family(name, Kind::gauge, help);
  sample(value);
}

std::string MetricsText::take() { return std::move(text_); }

}  // namespace flotilla
