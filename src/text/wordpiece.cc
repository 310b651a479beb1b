#include "text/wordpiece.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/utf8.h"

namespace flotilla {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581
constexpr std::size_t word_characters_max = 100;
constexpr std::size_t parts_max = 8;  // of one character; Unicode's longest have four

struct CodeRange {
  char32_t first, last;
};
// What the published tokenizer takes for words of their own. The gap before U+2B920 is its.
constexpr std::array ideographs = {
    CodeRange{0x3400, 0x4DBF},   CodeRange{0x4E00, 0x9FFF},   CodeRange{0xF900, 0xFAFF},   CodeRange{0x20000, 0x2A6DF},
    CodeRange{0x2A700, 0x2B73F}, CodeRange{0x2B740, 0x2B81F}, CodeRange{0x2B920, 0x2CEAF}, CodeRange{0x2F800, 0x2FA1F}};

utf8proc_category_t category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

bool is_ideograph(char32_t code) {
  return std::ranges::any_of(ideographs,
                             [code](const CodeRange& range) { return code >= range.first && code <= range.last; });
}

// White_Space in Unicode: the separators, and these controls.
bool is_space(char32_t code) {
  if ((code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85) return true;
  const auto kind = category(code);
  return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}

// Controls, formats and what is private; U+FFFD stands for bytes that were no character.
bool is_dropped(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  if (code == 0xFFFD) return true;
  switch (category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
      return true;
    default:
      return false;
  }
}

// All of ASCII that is neither letter nor digit, beside what Unicode calls so.
bool is_punctuation(char32_t code) {
  if (code < 0x80)
    return code > 0x20 && code < 0x7F && !(code >= '0' && code <= '9') &&
           !((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
  switch (category(code)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return true;
    default:
      return false;
  }
}

// Calls `use` with each part of a character whose accents are taken off: what it decomposes to (NFD) but for marks. One
// character at a time, since bringing a crowd of marks into Unicode's order takes the square of their number.
template <typename Use>
void without_accents(char32_t character, Use use) {
  std::array<utf8proc_int32_t, parts_max> parts{};
  constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  int boundary = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character), parts.data(),
                                                         std::ssize(parts), options, &boundary);
  for (utf8proc_ssize_t part = 0; part < std::min(count, std::ssize(parts)); ++part) {
    const auto code = static_cast<char32_t>(parts[static_cast<std::size_t>(part)]);
    if (category(code) != UTF8PROC_CATEGORY_MN) use(code);
  }
}

}  // namespace

Result<std::unique_ptr<WordPiece>> WordPiece::create(const Vocabulary& vocabulary) {
  if (vocabulary.special("unk") < 0)
    return fail(Code::corrupt, "[text] expected a WordPiece vocabulary with an unknown token but the file names none");
  return std::unique_ptr<WordPiece>(new WordPiece(vocabulary));
}

void WordPiece::encode(std::string_view text, bool, std::vector<TokenId>& out) const {
  std::string word(space_mark);
  std::size_t characters = 0;
  const auto end_word = [&] {
    if (characters > 0) spell(word, characters, out);
    word = space_mark;
    characters = 0;
  };
  const auto add = [&](char32_t part) {
    const auto code = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(part)));
    const bool stands_alone = is_punctuation(code);
    if (stands_alone) end_word();
    word += utf8_of(code);
    ++characters;
    if (stands_alone) end_word();
  };
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    text.remove_prefix(step.bytes);
    if (!step.valid || is_dropped(step.code)) continue;
    // Set apart before marks are taken off, as in the original: some ideographs are spelled by others then.
    const bool is_apart = is_ideograph(step.code);
    if (is_apart || is_space(step.code)) end_word();
    if (!is_space(step.code)) without_accents(step.code, add);
    if (is_apart) end_word();
  }
  end_word();
}

// `word` begins with the mark of a beginning. Nothing of a word is kept that cannot be spelled to its end.
void WordPiece::spell(std::string_view word, std::size_t characters, std::vector<TokenId>& out) const {
  const std::size_t before = out.size();
  std::string_view rest = word;
  while (characters <= word_characters_max && !rest.empty()) {
    const Piece piece = longest(rest, rest.size() == word.size() ? space_mark.size() : 0);
    if (piece.token < 0) break;
    out.push_back(piece.token);
    rest.remove_prefix(piece.bytes);
  }
  if (rest.empty()) return;
  out.resize(before);
  out.push_back(unknown_);
}

// Of more than so many bytes, and whole characters. A mark within a word is no beginning of one.
WordPiece::Piece WordPiece::longest(std::string_view rest, std::size_t more_than) const {
  if (more_than == 0 && rest.starts_with(space_mark)) return {};
  for (std::size_t bytes = rest.size(); bytes > more_than; --bytes) {
    const bool ends_within = bytes < rest.size() && (static_cast<unsigned char>(rest[bytes]) & 0xC0) == 0x80;
    if (ends_within) continue;
    if (const TokenId token = vocabulary_.find_ordinary(rest.substr(0, bytes)); token >= 0) return {token, bytes};
  }
  return {};
}

std::string WordPiece::decode(TokenId token) const {
  const std::string_view text = vocabulary_.text(token);
  if (!text.starts_with(space_mark)) return std::string(text);
  return " " + std::string(text.substr(space_mark.size()));
}

}  // namespace flotilla
