// Any link, slowed to a given rate, delay and jitter, so that one machine can stand for a network (tier A of
// docs/performance.md). The sender stamps CLOCK_MONOTONIC, which processes of one host share; the receiver delivers at
//   max(arrival, max(stamp, end of the frame before) + bytes / rate + delay + jitter)
// sleeping until 50 µs before and spinning the rest. Both ends must be wrapped.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "io/link.h"

namespace flotilla {

struct LinkModel {
  double bits_per_second = 0;              // 0: unlimited
  std::chrono::nanoseconds delay{0};       // one way
  std::chrono::nanoseconds jitter{0};      // uniform in [0, jitter], from the seed
  std::uint64_t seed = 1;
  double scale = 1;                        // multiplies every delay and transfer time (the similarity rule)
};

// What a small frame takes one way, on average, and how fast bytes come: infinity where the model does not limit them.
double latency_seconds(const LinkModel& model);
double bytes_per_second(const LinkModel& model);

// A profile ("1gbe", "10gbe", "2.5gbe", "thunderbolt", "rdma", "wifi", "wan20"), values, or a profile and then values:
// "delay=150us,rate=1g,jitter=0us,scale=1,seed=1", "1gbe,scale=0.2". invalid_argument names the profiles.
Result<LinkModel> link_model_from_text(std::string_view text);

std::unique_ptr<Link> make_modelled_link(std::unique_ptr<Link> inner, const LinkModel& model);

}  // namespace flotilla
