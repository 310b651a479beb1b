#include "base/units.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace flotilla {

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < names.size()) value /= 1024, ++unit;
  if (unit == 0 || value >= 99.95 || value == std::floor(value)) return std::format("{:.0f} {}", value, names[unit]);
  return std::format("{:.1f} {}", value, names[unit]);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto wrong = [&] {
    return fail(Code::invalid_argument, "[base] expected a size such as 8G, 512MiB or 1.5GiB but got '{}'", text);
  };
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !(value >= 0)) return wrong();
  std::string unit;
  for (const char c : std::string_view(rest, text.data() + text.size()))
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  double factor = 1;
  if (unit == "k" || unit == "kb" || unit == "kib")
    factor = static_cast<double>(kib);
  else if (unit == "m" || unit == "mb" || unit == "mib")
    factor = static_cast<double>(mib);
  else if (unit == "g" || unit == "gb" || unit == "gib")
    factor = static_cast<double>(gib);
  else if (unit == "t" || unit == "tb" || unit == "tib")
    factor = 1024.0 * static_cast<double>(gib);
  else if (!unit.empty() && unit != "b")
    return wrong();
  const double bytes = value * factor;
  if (bytes >= 0x1p63) return wrong();
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace flotilla
