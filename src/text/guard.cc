#include "text/guard.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/words.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

// Without case, because a template may change it. ASCII is enough: no published control token has other cased letters.
std::string folded(std::string_view text) { return lower_case(text); }

// Whether one of the sorted texts begins with `head` and goes on.
bool any_continues(const std::vector<std::string>& texts, std::string_view head) {
  const auto next = std::ranges::upper_bound(texts, head, std::less<std::string_view>());
  return next != texts.end() && next->starts_with(head);
}

}  // namespace

Guard::Guard(const std::vector<std::string>& reserved_texts) {
  for (const std::string& reserved : reserved_texts) texts_.push_back(folded(reserved));
  std::ranges::sort(texts_);
  for (const std::string& text : texts_) reversed_texts_.emplace_back(text.rbegin(), text.rend());
  std::ranges::sort(reversed_texts_);
  std::map<std::size_t, Length> by_length;
  for (const std::string& text : texts_) {
    Length& length = by_length[text.size()];
    length.bytes = text.size();
    length.first_bytes.set(static_cast<unsigned char>(text[0]));
    length.texts.insert(text);
    bytes_max_ = std::max(bytes_max_, text.size());
    first_bytes_ |= length.first_bytes;
  }
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    if (first_bytes_.test(static_cast<unsigned char>(letter)))
      first_bytes_.set(static_cast<unsigned char>(letter - 'a' + 'A'));
  }
  for (auto& [bytes, length] : by_length) lengths_.push_back(std::move(length));
}

std::string Guard::protect(std::string_view text, std::string_view character) const {
  const std::string owned = folded(text);
  const std::string_view fold = owned;
  const std::string reversed(fold.rend() - static_cast<std::ptrdiff_t>(std::min(bytes_max_, fold.size())), fold.rend());
  std::vector<std::size_t> places;
  const auto guard_at = [&](std::size_t begin) { places.push_back(begin + utf8_step(text.substr(begin)).bytes); };
  for (const Length& length : lengths_) {
    for (std::size_t i = 0; i + length.bytes <= fold.size(); ++i) {
      if (length.first_bytes.test(static_cast<unsigned char>(fold[i])) &&
          length.texts.contains(fold.substr(i, length.bytes))) {
        guard_at(i);
      }
    }
  }
  // A tail of a single character is left alone: the guard would have to stand before the text, where templates trim.
  const std::size_t first_bytes = utf8_step(text).bytes;
  for (std::size_t bytes = 1; bytes < std::min(bytes_max_, fold.size() + 1); ++bytes) {
    if (any_continues(texts_, fold.substr(fold.size() - bytes))) guard_at(fold.size() - bytes);
    if (bytes > first_bytes &&
        any_continues(reversed_texts_, std::string_view(reversed).substr(reversed.size() - bytes)))
      guard_at(0);
  }
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  std::string out;
  std::size_t done = 0;
  for (const std::size_t place : places) {
    out.append(text.substr(done, place - done)).append(character);
    done = place;
  }
  return out.append(text.substr(done));
}

std::string Guard::protect_throughout(std::string_view text, std::string_view character) const {
  const std::string owned = protect(text, character);
  std::string out;
  for (std::string_view rest = owned; !rest.empty();) {
    const std::string_view letter = rest.substr(0, utf8_step(rest).bytes);
    out.append(letter);
    if (letter != character && could_begin_one(letter.substr(0, 1))) out.append(character);
    rest.remove_prefix(letter.size());
  }
  return out;
}

bool Guard::could_begin_one(std::string_view text) const {
  return std::ranges::any_of(text, [&](char byte) { return first_bytes_.test(static_cast<unsigned char>(byte)); });
}

std::vector<TextPiece> Guard::cut(std::string_view text, std::string_view character) {
  std::vector<TextPiece> pieces;
  for (;;) {
    const std::size_t at = text.find(character);
    pieces.push_back({std::string(text.substr(0, at)), true});
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + character.size());
  }
}

}  // namespace flotilla
