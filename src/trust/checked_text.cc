#include "trust/checked_text.h"

#include <cstdint>

namespace flotilla {
namespace {

constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::size_t data_letters = 52;  // 260 bits: the last four are zero
constexpr std::size_t part_letters = 13;

// Luhn's rule over an alphabet of 32: every second value is doubled and its digits of base 32 added.
std::uint32_t check_value(std::string_view part) {
  std::uint32_t sum = 0, factor = 1;
  for (const char letter : part) {
    const auto product = factor * static_cast<std::uint32_t>(letters.find(letter));
    sum += product / 32 + product % 32;
    factor = 3 - factor;
  }
  return (32 - sum % 32) % 32;
}

std::string base32(std::span<const std::byte, 32> bytes) {
  std::string text;
  std::uint32_t bits = 0, held = 0;
  for (const std::byte byte : bytes) {
    bits = (bits << 8 | std::to_integer<std::uint32_t>(byte)) & 0xfff;
    for (held += 8; held >= 5; held -= 5) text += letters[bits >> (held - 5) & 31];
  }
  text += letters[bits << (5 - held) & 31];
  return text;
}

// What was meant: one case, nothing between, and no digit that looks like a letter.
std::string cleaned(std::string_view text) {
  std::string clean;
  for (char c : text) {
    if (c == '-' || c == ' ') continue;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    clean += c == '0' ? 'O' : c == '1' ? 'I' : c == '8' ? 'B' : c;
  }
  return clean;
}

}  // namespace

std::string to_checked_text(std::span<const std::byte, 32> bytes) {
  const std::string data = base32(bytes);
  std::string text;
  for (std::size_t at = 0; at < data_letters; at += part_letters) {
    const auto part = std::string_view(data).substr(at, part_letters);
    text += part;
    text += letters[check_value(part)];
  }
  return text;
}

std::string in_groups(std::string_view checked_text) {
  std::string text;
  for (std::size_t at = 0; at < checked_text.size(); at += 7) {
    if (at > 0) text += '-';
    text += checked_text.substr(at, 7);
  }
  return text;
}

Result<std::array<std::byte, 32>> from_checked_text(std::string_view text, std::string_view what) {
  const std::string clean = cleaned(text);
  if (clean.size() != checked_text_letters)
    return fail(Code::invalid_argument, "[trust] expected {} of {} letters but got {}; copy it as a whole", what,
                checked_text_letters, clean.size());
  if (clean.find_first_not_of(letters) != std::string::npos)
    return fail(Code::invalid_argument, "[trust] expected only letters and the digits 2 to 7 in {} but got others",
                what);
  std::array<std::byte, 32> bytes{};
  std::uint32_t bits = 0, held = 0;
  std::size_t done = 0;
  for (std::size_t at = 0; at < clean.size(); at += part_letters + 1) {
    const auto part = std::string_view(clean).substr(at, part_letters);
    if (letters[check_value(part)] != clean[at + part_letters])
      return fail(Code::invalid_argument, "[trust] expected {} as it was shown but letters {} to {} are mistyped", what,
                  at + 1, at + part_letters + 1);
    for (const char letter : part) {
      bits = (bits << 5 | static_cast<std::uint32_t>(letters.find(letter))) & 0xfff;
      held += 5;
      if (held < 8) continue;
      held -= 8;
      bytes[done++] = static_cast<std::byte>(bits >> held & 0xff);
    }
  }
  if ((bits & ((1u << held) - 1)) != 0)
    return fail(Code::invalid_argument, "[trust] expected {} as it was shown but its end is mistyped", what);
  return bytes;
}

}  // namespace flotilla
