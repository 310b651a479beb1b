#include "pipeline/meter.h"

#include <algorithm>
#include <utility>

namespace flotilla {
namespace {

constexpr std::chrono::seconds stats_interval{1};

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void Meter::add_step(std::uint64_t rows, std::uint64_t tokens, const StepTiming& timing) {
  told_all_ = false;
  total_.steps += 1;
  total_.rows += rows;
  total_.tokens += tokens;
  total_.compute_seconds += seconds(timing.compute);
  total_.wait_seconds += seconds(timing.wait);
  const double exchanged = group_ ? seconds(group_->waited()) : 0;
  const double own_compute = seconds(timing.compute) - (exchanged - std::exchange(total_.exchange_seconds, exchanged));
  if (rows != 1 || !timing.alone) return;
  total_.single_steps += 1;
  total_.single_compute_seconds += std::max(own_compute, 0.0);
  total_.single_round_seconds += seconds(timing.round);
  total_.single_positions += timing.position;
}

void Meter::add_compute(std::chrono::steady_clock::duration time) {
  told_all_ = false;
  total_.compute_seconds += seconds(time);
}

void Meter::send_if_due(Now now, std::uint32_t running, std::uint32_t queued) {
  if (now - sent_ < stats_interval) return;
  sent_ = now;
  send(running, queued);
}

void Meter::send_rest() {
  if (told_all_) return;
  send(0, 0);
  told_all_ = true;
}

void Meter::send(std::uint32_t running, std::uint32_t queued) {
  total_.running = running;
  total_.queued = queued;
  Traffic sent;
  if (ring_) sent += ring_->sent();
  if (group_) sent += group_->sent();
  total_.sent_messages = sent.messages;
  total_.sent_bytes = sent.bytes;
  node_.send(FrameKind::stage_stats, encode(total_), epoch_);
}

}  // namespace flotilla
