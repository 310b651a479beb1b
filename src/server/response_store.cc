#include "server/response_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace flotilla {
namespace {

std::size_t bytes_of(const std::vector<ChatMessage>& messages) {
  std::size_t bytes = 0;
  for (const auto& message : messages) {
    bytes += sizeof message + message.role.size() + message.content.size() + message.name.size() +
             message.reasoning.size() + message.call_id.size();
    for (const auto& call : message.calls)
      bytes += sizeof call + call.id.size() + call.name.size() + call.arguments.size();
  }
  return bytes;
}

}  // namespace

void ResponseStore::forget(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  const auto share = bytes_of_key_.find(entry->key);
  share->second -= entry->bytes;
  if (share->second == 0) bytes_of_key_.erase(share);
  by_id_.erase(entry->id);
  entries_.erase(entry);
}

void ResponseStore::keep(std::uint64_t key, const std::string& id, Messages messages) {
  const auto bytes = bytes_of(*messages) + sizeof(Entry) + id.size();
  if (bytes > bounds_.bytes_per_key_max || bytes > bounds_.bytes_max || by_id_.contains(id)) return;
  const auto share = [&] {
    const auto found = bytes_of_key_.find(key);
    return found == bytes_of_key_.end() ? 0 : found->second;
  };
  while (share() + bytes > bounds_.bytes_per_key_max) forget(std::ranges::find(entries_, key, &Entry::key));
  while (bytes_ + bytes > bounds_.bytes_max || entries_.size() >= bounds_.responses_max) forget(entries_.begin());
  entries_.push_back({.key = key, .id = id, .messages = std::move(messages), .bytes = bytes});
  by_id_[id] = std::prev(entries_.end());
  bytes_of_key_[key] += bytes;
  bytes_ += bytes;
}

ResponseStore::Messages ResponseStore::find(std::uint64_t key, const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() || found->second->key != key ? nullptr : found->second->messages;
}

}  // namespace flotilla
