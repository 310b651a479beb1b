// Counts that a monitoring program reads, and the text it reads them from: Prometheus' exposition format, version
// 0.0.4.
//
// Names begin with "flotilla_", have base units last, and "_total" where they only ever grow. What labels say is ours
// to make up, or a name of a model or machine of the fleet; never what a client wrote: each new text would be a series
// that the reader keeps for weeks. Thread: that of whoever owns the object.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flotilla {

// How often values fell below each of a few bounds.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);  // rising; of static storage
  void observe(double value);

  std::span<const double> bounds() const { return bounds_; }
  std::uint64_t count_up_to(std::size_t bound) const;  // values of at most bounds()[bound]
  std::uint64_t count() const;
  double sum() const { return sum_; }

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;  // between one bound and the one before; the last: beyond all
  double sum_ = 0;
};

// In seconds. What people feel: a first token, a pause between two, a whole answer.
std::span<const double> first_token_bounds();
std::span<const double> between_tokens_bounds();
std::span<const double> answer_bounds();

class MetricsText {
 public:
  using Label = std::pair<std::string_view, std::string_view>;
  using Labels = std::initializer_list<Label>;
  enum class Kind { counter, gauge, histogram };

  // What follows belongs to it until the next one. Each name once.
  void family(std::string_view name, Kind kind, std::string_view help);
  // A second one with the same labels in a family is left out: the reader would refuse the whole page for it.
  void sample(double value, Labels labels = {});
  void sample(const Histogram& histogram, Labels labels = {});
  // A family of one sample.
  void counter(std::string_view name, std::string_view help, double value);
  void gauge(std::string_view name, std::string_view help, double value);

  std::string take();

 private:
  bool is_new(Labels labels);
  void line(std::string_view suffix, Labels labels, std::string_view bound, double value);

  std::string text_, name_;
  std::set<std::string> told_;  // labels in this family
};

}  // namespace flotilla
