// flotilla_sim: runs the simulated cluster for one seed or for many, and says which of its promises broke and how to
// see it again.
#include <CLI/CLI.hpp>
#include <print>

#include "base/log.h"
#include "sim/run.h"

int main(int argc, char** argv) {
  using namespace flotilla;
  std::uint64_t first = 1, seeds = 1000, seed = 0;
  std::string plant = "none", level = "error";
  bool tells_all = false, goes_on = false;
  CLI::App app("Runs a cluster under a seeded clock and network, in one thread.");
  auto* const one = app.add_option("--seed", seed, "only this one");
  app.add_option("--first", first, "the first of many")->capture_default_str();
  app.add_option("--seeds", seeds, "how many")->capture_default_str();
  app.add_flag("--tell", tells_all, "print what happens, as it happens");
  app.add_flag("--go-on", goes_on, "do not end at the first breach");
  app.add_option("--log-level", level, "of what the nodes themselves say: debug, info, warning, error");
  app.add_option("--plant", plant, "a bug on purpose: two-heads, old-epoch, forgotten-member, doubled-token")
      ->group("");
  CLI11_PARSE(app, argc, argv);
  const auto planted = sim::plant_from(plant);
  if (!planted) return std::println(stderr, "flotilla_sim: there is no bug called {}", plant), 2;
  const LogLevel spoken = level == "debug"     ? LogLevel::debug
                          : level == "info"    ? LogLevel::info
                          : level == "warning" ? LogLevel::warning
                                               : LogLevel::error;
  start_log({.level = spoken, .name = "sim"});
  if (*one) first = seed, seeds = 1;

  sim::Clients::Sums all;
  std::uint64_t breaches = 0;
  double seconds = 0;
  for (std::uint64_t number = first; number < first + seeds; ++number) {
    const sim::RunOptions options{.seed = number, .plant = *planted, .tells_all = tells_all};
    const sim::Outcome outcome = sim::run(options);
    all.answered += outcome.sums.answered, all.failed += outcome.sums.failed;
    all.resumed += outcome.sums.resumed, all.tokens += outcome.sums.tokens;
    seconds += outcome.seconds;
    if (!outcome.breach) continue;
    ++breaches;
    std::println("{}", sim::describe(options, outcome));
    if (!goes_on) break;
  }
  std::println(
      "{} seeds from {}, {:.0f} simulated seconds: {} requests answered ({} of all went on elsewhere), {} failed, "
      "{} tokens; breaches: {}",
      seeds, first, seconds, all.answered, all.resumed, all.failed, all.tokens, breaches);
  return breaches == 0 ? 0 : 1;
}
