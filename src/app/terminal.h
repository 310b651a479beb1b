// What people see: tables, progress bars, the width of their terminal. Plain text elsewhere; NO_COLOR is honoured by
// printing no colour at all.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/rate_meter.h"

namespace flotilla {

bool is_terminal(int fd);
std::size_t terminal_columns(int fd);  // 80 where unknown

// Left-aligned columns, two spaces between; the first row is the heading.
std::string draw_columns(const std::vector<std::vector<std::string>>& rows);

// "45 s left", "3 min left", "2 h 10 min left"; empty where that cannot be said.
std::string time_left(std::uint64_t bytes, double bytes_per_second);

// One line on stderr, redrawn in place. On something that is no terminal: nothing.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  void show(std::string_view text, std::uint64_t done_bytes, std::uint64_t total_bytes);
  void clear();

 private:
  const bool enabled_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
  RateMeter rate_;
  std::string text_;
};

}  // namespace flotilla
