#include "text/utf8.h"

namespace flotilla {
namespace {

struct Lead {
  std::size_t bytes;
  unsigned second_min,
      second_max;  // what may follow: narrower than [80, BF] where that would be overlong or a surrogate
};

Lead lead_of(unsigned byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

unsigned byte_at(std::string_view text, std::size_t index) { return static_cast<unsigned char>(text[index]); }

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  if (text.empty()) return {};
  const unsigned first = byte_at(text, 0);
  const Lead lead = lead_of(first);
  if (lead.bytes == 1) return {1, first, true, false};
  if (lead.bytes == 0) return {1, 0xFFFD, false, false};
  char32_t code = first & (0x7Fu >> lead.bytes);
  for (std::size_t i = 1; i < lead.bytes; ++i) {
    if (i == text.size()) return {i, 0xFFFD, false, true};
    const unsigned byte = byte_at(text, i);
    const unsigned low = i == 1 ? lead.second_min : 0x80, high = i == 1 ? lead.second_max : 0xBF;
    if (byte < low || byte > high) return {i, 0xFFFD, false, false};
    code = code << 6 | (byte & 0x3F);
  }
  return {lead.bytes, code, true, false};
}

std::string utf8_of(char32_t code) {
  std::string out;
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
  return out;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.valid) {
      out += text.substr(0, step.bytes);
    } else {
      for (std::size_t i = 0; i < step.bytes; ++i) out += replacement_character;
    }
    text.remove_prefix(step.bytes);
  }
  return out;
}

std::size_t valid_utf8_bytes(std::string_view text) {
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const Utf8Step step = utf8_step(text.substr(bytes));
    if (!step.valid) break;
    bytes += step.bytes;
  }
  return bytes;
}

bool is_valid_utf8(std::string_view text) { return valid_utf8_bytes(text) == text.size(); }

}  // namespace flotilla
