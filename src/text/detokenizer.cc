#include "text/detokenizer.h"

#include <algorithm>

#include "text/utf8.h"

namespace flotilla {
namespace {

struct Found {
  std::size_t begin = std::string::npos, end = std::string::npos;
};

// The stop string that is complete first; of two that end together, the longer.
Found find_stop(std::string_view text, const std::vector<std::string>& stops) {
  Found best;
  for (const std::string& stop : stops) {
    const std::size_t begin = text.find(stop);
    if (begin == std::string_view::npos) continue;
    const std::size_t end = begin + stop.size();
    if (end < best.end || (end == best.end && begin < best.begin)) best = {begin, end};
  }
  return best;
}

// How many bytes at the end of `text` could begin a stop string.
std::size_t held_bytes(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t held = 0;
  for (const std::string& stop : stops) {
    for (std::size_t length = std::min(text.size(), stop.size() - 1); length > held; --length) {
      if (text.ends_with(std::string_view(stop).substr(0, length))) held = length;
    }
  }
  return held;
}

}  // namespace

Detokenizer::Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stops,
                         std::vector<TokenId> shown)
    : tokenizer_(std::move(tokenizer)), stops_(std::move(stops)), shown_(std::move(shown)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string Detokenizer::add(TokenId token) {
  if (stopped_) return {};
  bytes_ += tokenizer_->piece(token, std::ranges::find(shown_, token) != shown_.end());
  take_characters(false);
  return release(false);
}

std::string Detokenizer::finish() {
  if (stopped_) return {};
  take_characters(true);
  return release(true);
}

// Moves whole characters from bytes_ to held_. Malformed bytes come out as one U+FFFD for each part that could have
// begun a character, as web browsers do it.
void Detokenizer::take_characters(bool at_end) {
  std::string_view rest = bytes_;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (step.incomplete && !at_end) break;
    held_ += step.valid ? rest.substr(0, step.bytes) : replacement_character;
    rest.remove_prefix(step.bytes);
  }
  bytes_.erase(0, bytes_.size() - rest.size());
}

std::string Detokenizer::release(bool at_end) {
  std::string out;
  if (const Found stop = find_stop(held_, stops_); stop.begin != std::string::npos) {
    stopped_ = true;
    stop_ = held_.substr(stop.begin, stop.end - stop.begin);
    out = held_.substr(0, stop.begin);
    held_.clear();
    bytes_.clear();
    return out;
  }
  const std::size_t keep = at_end ? 0 : held_bytes(held_, stops_);
  out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace flotilla
