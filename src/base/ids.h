// Identities. Each is a type of its own, because plain integers swap silently.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

template <class Tag, class Number>
struct Id {
  Number value{};
  auto operator<=>(const Id&) const = default;
};

using TokenId = std::int32_t;                            // ggml's I32: a row of the embedding table
using SeqId = Id<struct SeqTag, std::uint32_t>;          // a slot of the KV cache, [0, sequences_max)
using RequestId = Id<struct RequestTag, std::uint64_t>;  // random, made by the node the client entered; one per choice
using PlacementId = Id<struct PlacementTag, std::uint64_t>;  // random, made by the head's node

// A machine: 128 random bits made on its first start and kept in its home folder.
struct NodeId {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const NodeId&) const = default;
};

std::string to_string(const NodeId& id);  // 32 lower-case hex digits
Result<NodeId> node_id_from_string(std::string_view hex);
std::uint64_t random_u64();  // from the system's generator, for ids and seeds
NodeId random_node_id(const std::function<std::uint64_t()>& random = random_u64);

// Which life of a placement a frame belongs to. One head per placement issues it; frames of an older epoch are dropped
// at the door. Ordered: a later incarnation of the head beats any counter of an earlier one.
struct Epoch {
  std::uint64_t incarnation = 0;  // microseconds since 1970 at which the head's node started
  std::uint32_t counter = 0;      // placements issued since
  auto operator<=>(const Epoch&) const = default;
};

// Layers [first, end) of a model. Empty where first == end.
struct LayerRange {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  auto operator<=>(const LayerRange&) const = default;
  std::uint32_t count() const { return end - first; }
  bool contains(std::uint32_t layer) const { return layer >= first && layer < end; }
};

}  // namespace flotilla

template <class Tag, class Number>
struct std::hash<flotilla::Id<Tag, Number>> {
  std::size_t operator()(const flotilla::Id<Tag, Number>& id) const { return std::hash<Number>{}(id.value); }
};
