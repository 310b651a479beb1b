#include "app/top_flags.h"

#include <memory>

#include "app/client_flags.h"
#include "app/top.h"

namespace flotilla {

void add_top(CLI::App& app, int& exit_code) {
  CLI::App* verb =
      app.add_subcommand("top", "The fleet at work: machines, models, tokens a second, what just happened");
  verb->footer(
      "Redraws until Ctrl-C; where its output is no terminal, it prints one text after the other.\n"
      "Examples:\n  flotilla top\n  flotilla top --once\n  flotilla top --json | jq -c '.models[]'");
  const auto flags = add_client_flags(*verb, true);
  const auto options = std::make_shared<TopOptions>();
  const auto seconds = std::make_shared<double>(2);
  verb->add_flag("--once", options->once, "Look for one interval, print once, end");
  verb->add_option("--interval", *seconds, "Seconds between two looks")
      ->check(CLI::Range(0.2, 3600.0))
      ->capture_default_str();
  verb->callback([flags, options, seconds, &exit_code] {
    options->verb = flags->verb;
    options->interval = std::chrono::milliseconds(static_cast<int>(*seconds * 1000));
    exit_code = watch_fleet(*options);
  });
}

}  // namespace flotilla
