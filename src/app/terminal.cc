#include "app/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

// Characters, not bytes: names may hold any script. Wide characters count as one, which at worst misaligns a line.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

constexpr auto redraw_interval = 100ms;
constexpr std::size_t bar_cells = 24;
constexpr double seconds_foretold_max = 100 * 3600;  // beyond, the rate says nothing

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

std::size_t terminal_columns(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string draw_columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], characters(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - characters(row[i]) + 2, ' ');
    }
    text += '\n';
  }
  return text;
}

std::string time_left(std::uint64_t bytes, double bytes_per_second) {
  if (bytes == 0 || bytes_per_second < 1) return "";
  const double exact = static_cast<double>(bytes) / bytes_per_second;
  if (exact > seconds_foretold_max) return "";
  const auto seconds = static_cast<std::uint64_t>(exact) + 1;
  if (seconds < 100) return std::format("{} s left", seconds);
  const auto minutes = (seconds + 30) / 60;
  return minutes < 60 ? std::format("{} min left", minutes)
                      : std::format("{} h {} min left", minutes / 60, minutes % 60);
}

ProgressBar::ProgressBar() : enabled_(is_terminal(STDERR_FILENO)) {}
ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::show(std::string_view text, std::uint64_t done_bytes, std::uint64_t total_bytes) {
  if (!enabled_ || total_bytes == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (text != text_) rate_ = RateMeter();
  if (text == text_ && done_bytes < total_bytes && now - last_ < redraw_interval) return;
  text_ = text;
  last_ = now;
  rate_.add(now, done_bytes);
  const double share = static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
  const auto filled = static_cast<std::size_t>(share * bar_cells);
  std::string bar;
  for (std::size_t i = 0; i < bar_cells; ++i) bar += i < filled ? "█" : "░";
  const double rate = rate_.per_second();
  const std::string left = time_left(total_bytes - std::min(done_bytes, total_bytes), rate);
  std::fprintf(stderr, "\r\x1b[K%.*s %s %3.0f %%  %s of %s%s", static_cast<int>(text.size()), text.data(), bar.c_str(),
               share * 100, format_bytes(done_bytes).c_str(), format_bytes(total_bytes).c_str(),
               rate > 0 ? std::format("  {}/s  {}", format_bytes(static_cast<std::uint64_t>(rate)), left).c_str() : "");
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace flotilla
