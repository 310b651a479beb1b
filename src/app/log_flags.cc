#include "app/log_flags.h"

#include "app/terminal.h"
#include "base/log.h"

namespace flotilla {

void start_log_from(const LogFlags& flags, const std::string& name) {
  LogOptions options{.name = name};
  options.level = flags.level == "debug"   ? LogLevel::debug
                  : flags.level == "info"  ? LogLevel::info
                  : flags.level == "error" ? LogLevel::error
                                           : LogLevel::warning;
  options.json = flags.format == "json" || (flags.format == "auto" && !is_terminal(2));
  start_log(options);
}

void add_log_flags(CLI::App& verb, LogFlags& flags) {
  verb.add_option("--log-level", flags.level, "How much to log: debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->envname("FLOTILLA_LOG_LEVEL")
      ->capture_default_str();
  verb.add_option("--log-format", flags.format, "text, json, or auto: text on a terminal, JSON lines elsewhere")
      ->check(CLI::IsMember({"text", "json", "auto"}))
      ->envname("FLOTILLA_LOG_FORMAT")
      ->capture_default_str();
}

}  // namespace flotilla
