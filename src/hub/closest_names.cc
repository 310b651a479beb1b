#include "hub/closest_names.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/words.h"

namespace flotilla {
namespace {

constexpr std::size_t compared_bytes_max = 128;

std::string compared(std::string_view text) { return lower_case(text.substr(0, compared_bytes_max)); }

// Letters to insert, delete or exchange (Levenshtein), one row of the table at a time.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t exchanged = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, exchanged}));
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> closest_names(std::string_view wanted, const std::vector<std::string>& names) {
  const std::string target = compared(wanted);
  if (target.empty()) return {};
  std::vector<std::pair<std::size_t, std::string>> close;
  for (const std::string& name : names) {
    const std::string candidate = compared(name);
    const bool inside = candidate.contains(target) || target.contains(candidate);
    const std::size_t edits = edits_between(target, candidate);
    if (inside || edits * 3 <= target.size()) close.emplace_back(inside ? 0 : edits, name);
  }
  std::ranges::stable_sort(close, {}, &std::pair<std::size_t, std::string>::first);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min<std::size_t>(close.size(), 3); ++i) out.push_back(std::move(close[i].second));
  return out;
}

}  // namespace flotilla
