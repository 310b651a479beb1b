// Conversations that clients go on with by an answer's id (previous_response_id): a few, for a while, in memory. What
// was kept for one key is found by that key alone.
//
// Thread: the loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "text/conversation.h"

namespace flotilla {

class ResponseStore {
 public:
  struct Bounds {
    std::size_t bytes_max = 64u << 20, bytes_per_key_max = 16u << 20;
    std::size_t responses_max = 4096;
  };
  using Messages = std::shared_ptr<const std::vector<ChatMessage>>;

  explicit ResponseStore(Bounds bounds) : bounds_(bounds) {}
  ResponseStore() : ResponseStore(Bounds{}) {}

  // Forgets the oldest, of this key first, where there is no room; keeps nothing that would fill a key's share alone.
  void keep(std::uint64_t key, const std::string& id, Messages messages);
  Messages find(std::uint64_t key, const std::string& id) const;  // null: never kept, or forgotten

 private:
  struct Entry {
    std::uint64_t key;
    std::string id;
    Messages messages;
    std::size_t bytes;
  };
  using Entries = std::list<Entry>;  // oldest first
  void forget(Entries::iterator entry);

  const Bounds bounds_;
  Entries entries_;
  std::map<std::string, Entries::iterator> by_id_;
  std::map<std::uint64_t, std::size_t> bytes_of_key_;
  std::size_t bytes_ = 0;
};

}  // namespace flotilla
