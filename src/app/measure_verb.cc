#include "app/measure_verb.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <print>

#include "app/api_client.h"
#include "app/client_key.h"
#include "app/rates_json.h"
#include "app/terminal.h"

namespace flotilla {
namespace {

using nlohmann::json;

constexpr std::string_view clear_line = "\r\033[K";

void draw(const MachineRates& rates) {
  std::println(
      "{} shard{} of {} thread{}   memory {:.1f} GB/s   keys and values {:.1f} GB/s   a layer {:.0f} µs besides\n",
      rates.shards, rates.shards == 1 ? "" : "s", rates.threads_per_shard, rates.threads_per_shard == 1 ? "" : "s",
      rates.memory_bytes_per_second / 1e9, rates.attention_bytes_per_second / 1e9, rates.layer_seconds * 1e6);
  std::vector<std::vector<std::string>> table{{"MS PER GIB"}};
  for (const std::uint32_t rows : kernel_rows)
    table.front().push_back(std::format("{} row{}", rows, rows == 1 ? "" : "s"));
  for (const KernelRate& kernel : rates.kernels) {
    table.push_back({kernel.type});
    for (const double seconds : kernel.seconds_per_gib) table.back().push_back(std::format("{:.1f}", seconds * 1e3));
  }
  std::print("{}", draw_columns(table));
}

}  // namespace

int measure_node(const VerbOptions& options, bool again) {
  const bool shows_progress = is_terminal(STDERR_FILENO);
  std::optional<Error> failure;
  json rates;
  ApiClient client(options.api_url, client_key(options));
  const auto done = client.post_lines("/measure", {{"again", again}}, [&](std::string_view line) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) return true;
    if (const json progress = event.value("progress", json()); progress.is_object() && shows_progress)
      std::print(stderr, "{}{} ({} of {})", clear_line, progress.value("text", ""), progress.value("done", 0) + 1,
                 progress.value("total", 1));
    if (event.contains("rates")) rates = event["rates"];
    if (const json error = event.value("error", json()); error.is_object())
      failure = Error{code_from_string(error.value("code", "")), error.value("message", "")};
    return true;
  });
  if (shows_progress) std::print(stderr, "{}", clear_line);
  if (!done) return report(done.error());
  if (failure) return report(*failure);
  const auto measured = rates_from_json(rates);
  if (!measured) return report(measured.error());
  if (options.json)
    std::println("{}", rates.dump(2));
  else
    draw(*measured);
  return 0;
}

}  // namespace flotilla
