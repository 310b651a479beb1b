// The log: one line per event, human on a terminal, JSON lines otherwise. Never holds prompt text or secrets.
//
// Thread: any. `room` is the folder the line comes from. A line that repeats the one before it within
// ten seconds is counted, not printed.
#pragma once

#include <format>
#include <string>
#include <string_view>

namespace flotilla {

enum class LogLevel { debug, info, warning, error };

struct LogOptions {
  LogLevel level = LogLevel::warning;
  bool json = false;  // JSON lines instead of text
  std::string name;   // who speaks: "node" or "runner SmolLM2 [0,15)"
};

void start_log(const LogOptions& options);  // once, in main; before it, warnings and errors go to stderr as text
bool log_enabled(LogLevel level);
void write_log(LogLevel level, std::string_view room, std::string_view message);

template <class... Args>
void log(LogLevel level, std::string_view room, std::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) write_log(level, room, std::format(format, std::forward<Args>(args)...));
}

}  // namespace flotilla
