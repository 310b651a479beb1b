// Longest first over the whole text, not leftmost first: where two special tokens overlap the longer one wins even if
// the shorter begins earlier. One pass per length of token keeps that order at a cost linear in the text; most passes
// skip on the first byte.
#include "text/special_tokens.h"

#include <algorithm>
#include <map>

namespace flotilla {

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  std::map<std::size_t, Length, std::greater<>> by_length;
  for (TokenId token = 0; token < static_cast<TokenId>(vocabulary.size()); ++token) {
    const TokenKind kind = vocabulary.kind(token);
    const bool reserved = kind == TokenKind::control || kind == TokenKind::unknown;
    if (!reserved && kind != TokenKind::user_defined) continue;
    const std::string& text = vocabulary.text(token);
    if (reserved) reserved_.push_back(text);
    Length& length = by_length[text.size()];
    length.bytes = text.size();
    length.first_bytes.set(static_cast<unsigned char>(text[0]));
    length.tokens.emplace(text, Entry{token, reserved});
  }
  for (auto& [bytes, length] : by_length) lengths_.push_back(std::move(length));
}

std::vector<TextPart> SpecialTokens::partition(std::string_view text, std::span<const TextPiece> pieces) const {
  std::vector<TextPart> parts;
  if (text.empty()) return parts;
  // For each byte the end of the trusted piece it lies in; zero in an untrusted one.
  std::vector<std::size_t> trusted_end(text.size(), 0);
  std::size_t begin = 0;
  for (const TextPiece& piece : pieces) {
    const std::size_t end = begin + piece.text.size();
    if (piece.trusted) std::fill(trusted_end.begin() + begin, trusted_end.begin() + end, end);
    begin = end;
  }
  parts.push_back({text, -1});
  for (const Length& length : lengths_) take(length, text, trusted_end, parts);
  return parts;
}

void SpecialTokens::take(const Length& length, std::string_view text, const std::vector<std::size_t>& trusted_end,
                         std::vector<TextPart>& parts) const {
  std::vector<TextPart> split;
  bool found_any = false;
  for (const TextPart& part : parts) {
    const std::string_view rest = part.text;
    std::size_t begin = 0;
    for (std::size_t i = 0; part.token < 0 && i + length.bytes <= rest.size();) {
      const auto found = length.first_bytes.test(static_cast<unsigned char>(rest[i]))
                             ? length.tokens.find(rest.substr(i, length.bytes))
                             : length.tokens.end();
      const std::size_t at = static_cast<std::size_t>(rest.data() - text.data()) + i;
      if (found == length.tokens.end() || (found->second.trusted_only && trusted_end[at] < at + length.bytes)) {
        ++i;
        continue;
      }
      if (i > begin) split.push_back({rest.substr(begin, i - begin), -1});
      split.push_back({rest.substr(i, length.bytes), found->second.token});
      i += length.bytes;
      begin = i;
      found_any = true;
    }
    if (part.token >= 0) {
      split.push_back(part);
    } else if (begin < rest.size()) {
      split.push_back({rest.substr(begin), -1});
    }
  }
  if (found_any) parts = std::move(split);
}

}  // namespace flotilla
