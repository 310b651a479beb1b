#include "pipeline/ring.h"

#include <atomic>
#include <future>
#include <utility>

#include "base/log.h"
#include "io/memory_link.h"
#include "io/modelled_link.h"
#include "pipeline/neighbour_gone.h"
#include "pipeline/ring_hello.h"

namespace flotilla {
namespace {

constexpr std::chrono::milliseconds ring_patience{30'000};
// Less than a node waits for the end it may have ordered itself (runner.cc).
constexpr std::chrono::milliseconds cause_patience{200};
// More than a head ever has under way; a stage that sends more than it was sent is broken.
constexpr std::size_t frames_taken_in_max = 256;

// Members meet twice a layer, and one is about as fast as the other: a wake-up would cost more than the wait.
constexpr std::chrono::microseconds member_spin{200};

std::chrono::microseconds ring_spin(const RunnerOptions& options) { return std::chrono::microseconds(options.spin_us); }

Result<std::unique_ptr<Link>> modelled_where_asked(std::unique_ptr<Link> link, const RunnerOptions& options) {
  if (options.link_model.empty()) return link;
  FLOTILLA_TRY(const auto model, link_model_from_text(options.link_model));
  return make_modelled_link(std::move(link), model);
}

// The hello goes over the bare link, before a link model adds its own bytes to frames.
Result<std::unique_ptr<Link>> connect_to(const std::string& address, std::uint16_t port, const PrepareStage& plan,
                                         std::chrono::microseconds spin, const RunnerOptions& options) {
  const auto until = std::chrono::steady_clock::now() + ring_patience;
  FLOTILLA_TRY(auto socket, tcp_connect(address, port, ring_patience));
  FLOTILLA_TRY(auto secure, shake_hands(std::move(socket), ring_tls(plan), TlsRole::initiator, until));
  auto link = make_tcp_link(std::move(secure), {.spin = spin});
  FLOTILLA_TRY_STATUS(link->send(make_frame(FrameKind::ring_hello, encode(hello_of(plan)), plan.epoch)));
  return modelled_where_asked(std::move(link), options);
}

Result<std::unique_ptr<Link>> adopt(SecureSocket socket, std::chrono::microseconds spin, const RunnerOptions& options) {
  return modelled_where_asked(make_tcp_link(std::move(socket), {.spin = spin}), options);
}

// A handshake needs both ends. In a ring each stage calls the next and is called by the one before, so whoever called
// first and answered only afterwards would wait for ever: the door is kept by a thread of its own while this one calls.
class DoorKeeper {
 public:
  DoorKeeper(const Descriptor& listener, RingDoor door) {
    door.given_up = [this, given_up = std::move(door.given_up)] { return dismissed_ || given_up(); };
    accepted_ = std::async(std::launch::async,
                           [&listener, door = std::move(door)] { return accept_neighbours(listener, door); });
  }
  // Whoever did not wait for it no longer wants it.
  ~DoorKeeper() { dismissed_ = true; }
  Result<std::vector<SecureSocket>> wait() { return accepted_.get(); }

 private:
  std::atomic<bool> dismissed_{false};
  std::future<Result<std::vector<SecureSocket>>> accepted_;  // goes first: it waits for the thread
};

std::unexpected<Error> cause_from(const Frame& stage_lost) {
  auto lost = decode_stage_failed(stage_lost.body);
  if (!lost) return fail(lost.error());
  return fail(Error{code_from_string(lost->code), std::move(lost->message)});
}

}  // namespace

Ring::Ring(std::unique_ptr<Link> upstream, std::unique_ptr<Link> downstream, const PrepareStage& plan)
    : upstream_(std::move(upstream)),
      downstream_(std::move(downstream)),
      placement_(plan.placement),
      epoch_(plan.epoch),
      stage_index_(plan.stage_index),
      activation_type_(plan.activation_type) {}

Status Ring::send(const StepBatch& batch, std::span<const float> values, std::uint32_t width) {
  encode_step(batch, values, width, activation_type_, scratch_);
  FrameHeader header;
  header.kind = FrameKind::step;
  header.epoch = epoch_;
  header.step = batch.step;
  const auto status = downstream_->send(header, scratch_);
  return status ? status : why_gone(status.error());
}

// A stage that fails says why to the stage after it, and so round the ring: to the one before it last. That one, with
// several steps under way, may find its link cut first.
std::unexpected<Error> Ring::why_gone(const Error& cause) {
  const auto until = std::chrono::steady_clock::now() + cause_patience;
  Frame frame;
  for (auto now = until - cause_patience; now < until; now = std::chrono::steady_clock::now()) {
    if (!next_frame(frame, until - now)) break;
    if (frame.header.epoch == epoch_ && frame.header.kind == FrameKind::stage_lost) return cause_from(frame);
  }
  return neighbour_gone(cause);
}

void Ring::listen_while_sending() {
  downstream_->while_sending_waits([this] { return take_in(); });
}

Status Ring::take_in() {
  Frame frame;
  const auto status = upstream_->receive(frame, {});
  if (!status) return status.error().code == Code::timeout ? Status{} : status;
  if (taken_in_.size() == frames_taken_in_max)
    return fail(Code::corrupt,
                "[pipeline] expected at most {} steps to come back but more came; the stage before is broken",
                frames_taken_in_max);
  taken_in_.push_back(std::move(frame));
  return {};
}

Status Ring::next_frame(Frame& frame, std::chrono::nanoseconds patience) {
  if (taken_in_.empty()) return upstream_->receive(frame, patience);
  frame = std::move(taken_in_.front());
  taken_in_.pop_front();
  return {};
}

Status Ring::receive(ReceivedStep& step, std::chrono::nanoseconds patience) {
  for (;;) {
    if (const auto status = next_frame(step.frame, patience); !status) return neighbour_gone(status.error());
    const auto& header = step.frame.header;
    if (header.epoch != epoch_) {
      ++frames_dropped_;
      log(LogLevel::debug, "pipeline", "{} of epoch {}.{} dropped, this is epoch {}.{}", to_string(header.kind),
          header.epoch.incarnation, header.epoch.counter, epoch_.incarnation, epoch_.counter);
      continue;
    }
    if (header.kind == FrameKind::stage_lost) return cause_from(step.frame);
    if (header.kind != FrameKind::step)
      return fail(Code::corrupt, "[pipeline] expected a step from the ring but got {}; the stage before is broken",
                  to_string(header.kind));
    return decode_step(header, step.frame.body, step.batch, step.activations);
  }
}

void Ring::send_lost(const Error& cause) {
  const StageFailed lost{.placement = placement_,
                         .epoch = epoch_,
                         .stage_index = stage_index_,
                         .code = std::string(to_string(cause.code)),
                         .message = cause.message};
  downstream_->while_sending_waits(until_given_up());
  if (const auto status = downstream_->send(make_frame(FrameKind::stage_lost, encode(lost), epoch_)); !status)
    log(LogLevel::debug, "pipeline", "nobody downstream to tell: {}", status.error().message);
}

void Ring::close(const Error& cause) {
  upstream_->close(cause);
  downstream_->close(cause);
}

Ring make_lone_ring(const PrepareStage& plan) {
  auto [downstream, upstream] = make_memory_link_pair();
  return Ring(std::move(upstream), std::move(downstream), plan);
}

Result<std::optional<Ring>> connect_ring(const PrepareStage& plan, const ConnectRing& next, const Descriptor& listener,
                                         const RunnerOptions& options, const NodeLine& node, Group& group) {
  if (next.members.size() != plan.member)
    return fail(Code::invalid_argument,
                "[pipeline] expected the addresses of {} earlier members of this stage but got {}", plan.member,
                next.members.size());
  const bool in_ring = plan.member == 0 && plan.stage_count > 1;
  RingDoor door{
      .tls = ring_tls(plan), .expected = {}, .patience = ring_patience, .given_up = [&node] { return node.ended(); }};
  for (std::uint32_t member = plan.member + 1; member < plan.members; ++member)
    door.expected.push_back(hello_of_member(plan, member));
  if (in_ring) door.expected.push_back(hello_expected_by(plan));
  DoorKeeper keeper(listener, std::move(door));
  std::unique_ptr<Link> downstream;
  if (in_ring) {
    FLOTILLA_TRY(downstream, connect_to(next.address, next.port, plan, ring_spin(options), options));
  }
  for (std::uint32_t member = 0; member < next.members.size(); ++member) {
    const MemberAddress& earlier = next.members[member];
    FLOTILLA_TRY(auto link, connect_to(earlier.address, earlier.port, plan, member_spin, options));
    group.adopt(member, std::move(link));
  }
  FLOTILLA_TRY(auto sockets, keeper.wait());
  for (std::uint32_t member = plan.member + 1; member < plan.members; ++member) {
    FLOTILLA_TRY(auto link, adopt(std::move(sockets[member - plan.member - 1]), member_spin, options));
    group.adopt(member, std::move(link));
  }
  if (plan.member != 0) return std::optional<Ring>();
  if (!in_ring) return std::optional(make_lone_ring(plan));
  FLOTILLA_TRY(auto upstream, adopt(std::move(sockets.back()), ring_spin(options), options));
  return std::optional<Ring>(Ring(std::move(upstream), std::move(downstream), plan));
}

}  // namespace flotilla
