// Decides which texts go to a machine together: of each request in turn one, as long as a batch has room. So a text
// that comes alone is in the next batch, however many another user's request still has. In: requests' texts by their
// lengths.  Out: batches.  Owns: the places of texts that wait.  Thread: one at a time; pure. Never: splits a text, or
// lets one that is longer than a batch wait for ever: it goes alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/ids.h"

namespace flotilla {

class TextQueue {
 public:
  struct Text {
    RequestId request;
    std::uint32_t index = 0;   // within its request
    std::uint32_t tokens = 0;  // at least one
    bool operator==(const Text&) const = default;
  };
  struct Room {
    std::size_t tokens = 0, texts = 0;
  };

  void add(std::vector<Text> texts);       // of one request that has none here
  void put_back(std::vector<Text> texts);  // of a batch that was lost: they come first
  void drop(RequestId request);
  std::vector<Text> next(Room room);  // at least one, where any wait

  bool empty() const { return requests_.empty(); }
  std::uint64_t tokens() const { return tokens_; }

 private:
  std::deque<std::deque<Text>> requests_;  // none empty; whose turn it is stands first
  std::uint64_t tokens_ = 0;
};

}  // namespace flotilla
