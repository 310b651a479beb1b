#include "app/hub_progress.h"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <print>

#include "app/interrupt.h"
#include "base/units.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using nlohmann::ordered_json;

constexpr std::chrono::milliseconds sample_interval = 100ms, json_interval = 1s, line_interval = 10s;

}  // namespace

HubProgress::HubProgress(std::string text, bool json)
    : text_(std::move(text)),
      json_(json),
      on_terminal_(is_terminal(STDERR_FILENO)),
      told_(std::chrono::steady_clock::now()) {}

PullWatch HubProgress::watch() {
  return {.on_progress = [this](std::uint64_t done, std::uint64_t total) { show(done, total); },
          .on_note = [this](const std::string& sentence) { note(sentence); },
          .stop = [] { return interrupted(); }};
}

void HubProgress::show(std::uint64_t done, std::uint64_t total) {
  if (on_terminal_ && !json_) return bar_.show(text_, done, total);
  const auto now = std::chrono::steady_clock::now();
  const bool is_end = done == total;
  if (now - sampled_ < sample_interval && !is_end) return;
  sampled_ = now;
  rate_.add(now, done);
  if (now - told_ < (json_ ? json_interval : line_interval) && !(json_ && is_end)) return;
  told_ = now;
  const double rate = rate_.per_second();
  const auto bytes_per_second = static_cast<std::uint64_t>(rate);
  if (json_) {
    const ordered_json progress{{"done_bytes", done}, {"total_bytes", total}, {"bytes_per_second", bytes_per_second}};
    std::println("{}", ordered_json{{"progress", progress}}.dump());
    std::fflush(stdout);
  } else {
    std::println(stderr, "{}: {} of {}, {}/s  {}", text_, format_bytes(done), format_bytes(total),
                 format_bytes(bytes_per_second), time_left(total - done, rate));
  }
}

void HubProgress::note(const std::string& sentence) {
  bar_.clear();
  if (!json_) return std::println(stderr, "{}", sentence);
  std::println("{}", ordered_json{{"note", sentence}}.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  std::fflush(stdout);
}

}  // namespace flotilla
