#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/dup_filter_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace flotilla {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options) {
  auto filter = std::make_shared<spdlog::sinks::dup_filter_sink_mt>(std::chrono::seconds(10));
  filter->add_sink(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto logger = std::make_shared<spdlog::logger>(options.name.empty() ? "flotilla" : options.name, filter);
  logger->set_level(spdlog_level(options.level));
  logger->set_pattern(options.json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","name":"%n",%v})"
                                   : "%H:%M:%S.%e %^%l%$ %v");
  logger->flush_on(spdlog::level::debug);
  return logger;
}

std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = make_logger({});
  return instance;
}

bool json_lines = false;  // set once by start_log, before any other thread exists

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += '\\', out += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out += std::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out;
}

}  // namespace

void start_log(const LogOptions& options) {
  json_lines = options.json;
  logger() = make_logger(options);
}

bool log_enabled(LogLevel level) { return logger()->should_log(spdlog_level(level)); }

void write_log(LogLevel level, std::string_view room, std::string_view message) {
  const std::string line = json_lines ? std::format(R"("room":"{}","message":"{}")", room, json_escaped(message))
                                      : std::format("[{}] {}", room, message);
  logger()->log(spdlog_level(level), spdlog::string_view_t(line));
}

}  // namespace flotilla
