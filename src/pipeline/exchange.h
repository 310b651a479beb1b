// Inside pipeline: sums over the links of a group, piece by piece. Every member sends its summands to every other and
// adds what it gets, in the order of members, so that all have the same bits (one-shot all-reduce: one latency, members
// - 1 times the bytes). Sums follow each other on the wire in the order of their beginnings. Thread: one at a time,
// which has the group's links as long.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "engine/collective.h"
#include "pipeline/group.h"
#include "wire/frame.h"

namespace flotilla {

// 32 KiB a piece. Two of them lie in a connection's buffers without anyone reading (a receiver opens a window of 64 KiB
// before it has measured anything, and a sender keeps 16), so that all may send first and read then, and no send waits.
inline constexpr std::size_t piece_values = 8192, pieces_kept_by_sockets = 2;

class Exchange {
 public:
  explicit Exchange(std::shared_ptr<Group> group)
      : group_(std::move(group)), frames_(group_->members()), sums_(piece_values), summands_(piece_values) {}

  // Sends up to `pieces_ahead` pieces more than have been received, these values' behind those of sums begun before.
  // They are not the caller's until they are summed.
  void begin(std::span<float> values, std::size_t pieces_ahead);

  // Receives a piece of the oldest sum and sends what may be sent then. True where that was its last, or where there is
  // no hope any more: then health() says why, now and later, and no values are touched any longer.
  bool advance();
  const Status& health() const { return health_; }

 private:
  struct Sum {
    std::span<float> values;
    std::size_t sent = 0, received = 0;
  };
  void send_ahead();
  Status send_piece(Sum& sum);
  Status receive_piece(Sum& sum);
  Status receive_summands(std::uint32_t member, std::size_t count);
  void add(std::uint32_t member, std::span<const float> own);

  const std::shared_ptr<Group> group_;
  std::deque<Sum> under_way_;
  std::size_t pieces_ahead_max_ = pieces_kept_by_sockets, pieces_ahead_ = 0;  // sent and not yet received
  std::vector<Frame> frames_;                                                 // by member, kept for their memory
  std::vector<float> sums_, summands_;
  Bytes body_;
  Status health_;
};

}  // namespace flotilla
