// Decides in which order a step's rows go through the output head: first those of which whole logits are wanted, then
// those of which the likeliest token is enough, of each kind limits::logits_rows_max at a time. The members of a tensor
// group that answer unasked keep to it too, so it is part of the format (docs/wire.md). Thread: the computing thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace flotilla {

class WantedRows {
 public:
  explicit WantedRows(std::size_t width) : width_(width) {}

  void clear() {
    count_ = 0;
    logits_.clear();
    likeliest_.clear();
  }
  void add(bool likeliest_is_enough) { (likeliest_is_enough ? likeliest_ : logits_).push_back(count_++); }  // in order

  // Calls, for some rows of `values` [rows, width] at a time, one of use(numbers of the rows, their values) → Status,
  // until one fails.
  template <class OfLogits, class OfLikeliest>
  Status visit(std::span<const float> values, const OfLogits& of_logits, const OfLikeliest& of_likeliest) {
    FLOTILLA_TRY_STATUS(visit(logits_, values, of_logits));
    return visit(likeliest_, values, of_likeliest);
  }

 private:
  template <class Use>
  Status visit(std::span<const std::uint32_t> numbers, std::span<const float> values, const Use& use) {
    for (std::size_t first = 0; first < numbers.size(); first += limits::logits_rows_max) {
      const auto some = numbers.subspan(first, std::min<std::size_t>(limits::logits_rows_max, numbers.size() - first));
      FLOTILLA_TRY_STATUS(use(some, side_by_side(some, values)));
    }
    return {};
  }

  // Where all rows of a step are of one kind, as nearly always, they lie so already.
  std::span<const float> side_by_side(std::span<const std::uint32_t> numbers, std::span<const float> values) {
    if (numbers.back() - numbers.front() + 1 == numbers.size())
      return values.subspan(numbers.front() * width_, numbers.size() * width_);
    picked_.clear();
    for (const std::uint32_t number : numbers) {
      const auto row = values.subspan(number * width_, width_);
      picked_.insert(picked_.end(), row.begin(), row.end());
    }
    return picked_;
  }

  const std::size_t width_;
  std::uint32_t count_ = 0;
  std::vector<std::uint32_t> logits_, likeliest_;  // numbers of rows, ascending
  std::vector<float> picked_;
};

}  // namespace flotilla
