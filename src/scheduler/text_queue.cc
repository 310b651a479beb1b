#include "scheduler/text_queue.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace flotilla {

void TextQueue::add(std::vector<Text> texts) {
  if (texts.empty()) return;
  for (const Text& text : texts) tokens_ += text.tokens;
  requests_.emplace_back(texts.begin(), texts.end());
}

void TextQueue::put_back(std::vector<Text> texts) {
  for (const Text& text : texts | std::views::reverse) {
    tokens_ += text.tokens;
    auto own = std::ranges::find(requests_, text.request, [](const auto& queue) { return queue.front().request; });
    if (own == requests_.end())
      requests_.emplace_front();
    else
      std::rotate(requests_.begin(), own, own + 1);
    requests_.front().push_front(text);
  }
}

void TextQueue::drop(RequestId request) {
  std::erase_if(requests_, [&](const std::deque<Text>& queue) {
    if (queue.front().request != request) return false;
    for (const Text& text : queue) tokens_ -= text.tokens;
    return true;
  });
}

// Round by round. Whose next text does not fit is passed over and keeps its turn for the next batch.
std::vector<TextQueue::Text> TextQueue::next(Room room) {
  std::vector<Text> batch;
  std::size_t passed_over = 0;
  while (passed_over < requests_.size() && batch.size() < room.texts) {
    const Text text = requests_[passed_over].front();
    if (text.tokens > room.tokens && !batch.empty()) {
      ++passed_over;
      continue;
    }
    room.tokens -= std::min<std::size_t>(room.tokens, text.tokens);
    tokens_ -= text.tokens;
    batch.push_back(text);
    auto queue = std::move(requests_[passed_over]);
    requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(passed_over));
    queue.pop_front();
    if (!queue.empty()) requests_.push_back(std::move(queue));
  }
  return batch;
}

}  // namespace flotilla
