#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/dup_filter_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>

#include "base/request_log.h"

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

std::string json_fields(std::string_view room, std::string_view message, std::string_view request) {
  const auto id = request.empty() ? "" : std::format(R"("request":"{}",)", json_escaped(request));
  return std::format(R"("room":"{}",{}"message":"{}")", room, id, json_escaped(message));
}

std::string text_line(std::string_view room, std::string_view message, std::string_view request) {
  return request.empty() ? std::format("[{}] {}", room, message) : std::format("[{}] {} {}", room, request, message);
}

// no-color.org: set, to whatever but nothing.
spdlog::color_mode wanted_colours(bool json) {
  const char* refused = std::getenv("NO_COLOR");
  return json || (refused && *refused != '\0') ? spdlog::color_mode::never : spdlog::color_mode::automatic;
}

// `%*`: a line's JSON fields. The filter has lines of its own ("Skipped 3 duplicate messages.."), which know no fields.
class JsonFields : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& into) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    const std::string line =
        payload.starts_with(R"("room":")") ? std::string(payload) : json_fields("base", payload, {});
    into.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonFields>(); }
};

std::unique_ptr<spdlog::formatter> make_formatter(bool json) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JsonFields>('*').set_pattern(
      json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","name":"%n",%*})" : "%H:%M:%S.%e %^%l%$ %v");
  return formatter;
}

std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options) {
  auto filter = std::make_shared<spdlog::sinks::dup_filter_sink_mt>(std::chrono::seconds(10));
  filter->add_sink(std::make_shared<spdlog::sinks::stderr_color_sink_mt>(wanted_colours(options.json)));
  auto logger = std::make_shared<spdlog::logger>(options.name.empty() ? "flotilla" : options.name, filter);
  logger->set_level(spdlog_level(options.level));
  logger->set_formatter(make_formatter(options.json));
  logger->flush_on(spdlog::level::debug);
  return logger;
}

std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = make_logger({});
  return instance;
}

bool json_lines = false;  // set once by start_log, before any other thread exists

}  // namespace

void start_log(const LogOptions& options) {
  json_lines = options.json;
  logger() = make_logger(options);
}

bool log_enabled(LogLevel level) { return logger()->should_log(spdlog_level(level)); }

void write_log(LogLevel level, std::string_view room, std::string_view message) {
  write_request_log(level, room, {}, message);
}

void write_request_log(LogLevel level, std::string_view room, std::string_view request, std::string_view message) {
  const std::string line = json_lines ? json_fields(room, message, request) : text_line(room, message, request);
  logger()->log(spdlog_level(level), spdlog::string_view_t(line));
}

}  // namespace flotilla
