#include "app/flag_values.h"

#include <algorithm>
#include <charconv>
#include <format>

#include "base/units.h"
#include "model/excerpt.h"
#include "server/authority.h"

namespace flotilla {

CLI::Validator whole_number(long least) {
  return CLI::Validator(
      [least](std::string& text) {
        long number = 0;
        const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc{} && rest == text.data() + text.size() && number >= least) return std::string();
        return std::format("expected a whole number {} but got {}", least > 0 ? "above 0" : "of 0 or more", text);
      },
      "NUMBER");
}

// What a machine gives: nobody means so many bytes when a number stands alone.
Result<std::uint64_t> parse_room(const std::string& text) {
  FLOTILLA_TRY(const std::uint64_t bytes, parse_bytes(text));
  if (bytes == 0 || bytes >= mib) return bytes;
  return fail(Code::invalid_argument, "[app] expected a size such as 16G, or 0, but got {}, which is {}", text,
              format_bytes(bytes));
}

Result<std::string> parse_machine_name(const std::string& text) {
  constexpr std::size_t name_bytes_max = 63;
  const bool is_plain = std::ranges::none_of(text, [](unsigned char c) { return c <= ' ' || c == ',' || c == 0x7f; });
  if (is_plain && !text.empty() && text.size() <= name_bytes_max) return text;
  return fail(Code::invalid_argument, "[app] expected a name of 1 to {} bytes without spaces and commas but got '{}'",
              name_bytes_max, excerpt(text));
}

Result<HostPort> parse_host_port(const std::string& text) {
  const auto colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? text : text.substr(colon + 1);
  std::string host = colon == std::string::npos ? "127.0.0.1" : text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  unsigned number = 0;
  const auto [rest, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || rest != port.data() + port.size() || number > 65535 || host.empty())
    return fail(Code::invalid_argument, "[app] expected HOST:PORT such as 127.0.0.1:52415 but got '{}'", text);
  return HostPort{host, static_cast<std::uint16_t>(number)};
}

Result<std::string> parse_api_name(const std::string& text) {
  const auto name = parse_authority(text);
  if (name && name->port.empty()) return name->host;
  return fail(Code::invalid_argument, "[app] expected a host's name without a port, such as studio.lan, but got '{}'",
              text);
}

}  // namespace flotilla
