// What values of flags may be, each with a sentence for what it may not. CLI11 reports a wrong value by its validator's
// text: our own parsers speak there too.  Pure.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/words.h"

namespace flotilla {

template <class Parse>
CLI::Validator validator_of(Parse parse, const char* what) {
  return CLI::Validator(
      [parse](std::string& text) {
        const auto parsed = parse(text);
        return parsed ? std::string() : std::string(without_room(parsed.error().message));
      },
      what);
}

CLI::Validator whole_number(long least);

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
Result<HostPort> parse_host_port(const std::string& text);  // "HOST:PORT", "[v6]:PORT", "PORT"

Result<std::string> parse_api_name(const std::string& text);  // a host's name without a port
Result<std::uint64_t> parse_room(const std::string& text);    // memory or disk that a machine gives: "16G", 0
Result<std::string> parse_machine_name(
    const std::string& text);  // it stands in tables, in lists with commas, and is typed

}  // namespace flotilla
