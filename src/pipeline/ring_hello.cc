#include "pipeline/ring_hello.h"

#include "base/log.h"
#include "base/sha256.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t hello_bytes_max = 1024;  // a ring_hello is about 150 bytes
constexpr std::chrono::milliseconds look_up_interval{100};

Result<RingHello> read_hello(SecureSocket& socket, Clock::time_point until) {
  FLOTILLA_TRY(const Frame frame, receive_frame(socket, hello_bytes_max, until));
  if (frame.header.kind != FrameKind::ring_hello)
    return fail(Code::corrupt, "[pipeline] expected a ring hello but got {}", to_string(frame.header.kind));
  return decode_ring_hello(frame.body);
}

}  // namespace

TlsContext ring_tls(const PrepareStage& plan) { return TlsContext::of_shared_key(bytes_of(plan.ring_key)); }

RingHello hello_of(const PrepareStage& plan) {
  return {.placement = plan.placement,
          .epoch = plan.epoch,
          .stage_index = plan.stage_index,
          .ring_key = plan.ring_key,
          .member = plan.member};
}

RingHello hello_expected_by(const PrepareStage& plan) {
  auto hello = hello_of(plan);
  hello.stage_index = (plan.stage_index + plan.stage_count - 1) % plan.stage_count;
  return hello;
}

RingHello hello_of_member(const PrepareStage& plan, std::uint32_t member) {
  auto hello = hello_of(plan);
  hello.member = member;
  return hello;
}

// The key is compared whatever else is wrong, and in constant time, so that no answer is quicker than another.
Status check_hello(const RingHello& hello, const RingHello& expected) {
  const bool key_right = equal_in_constant_time(bytes_of(hello.ring_key), bytes_of(expected.ring_key));
  const bool place_right = hello.placement == expected.placement && hello.epoch == expected.epoch &&
                           hello.stage_index == expected.stage_index && hello.member == expected.member;
  if (key_right && place_right) return {};
  return fail(Code::unauthorized, "[pipeline] expected the hello of this ring's stage {} but got another's",
              expected.stage_index);
}

namespace {

// The place among those still expected whose hello this is; all are compared, so that no answer is quicker than
// another.
Result<std::size_t> place_of(const RingHello& hello, std::span<const RingHello> expected,
                             std::span<const SecureSocket> here) {
  Result<std::size_t> place = fail(Code::unauthorized, "[pipeline] expected a neighbour of this ring");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto verdict = check_hello(hello, expected[i]);
    if (verdict && !here[i])
      place = i;
    else if (!verdict && !place)
      place = fail(verdict.error());
  }
  return place;
}

struct Caller {
  SecureSocket socket;
  std::size_t place = 0;
};

Result<Caller> hear(Descriptor socket, const RingDoor& door, std::span<const SecureSocket> here) {
  const auto until = Clock::now() + door.hello_patience;
  FLOTILLA_TRY(auto secure, shake_hands(std::move(socket), door.tls, TlsRole::responder, until));
  FLOTILLA_TRY(const auto hello, read_hello(secure, until));
  FLOTILLA_TRY(const auto place, place_of(hello, door.expected, here));
  return Caller{std::move(secure), place};
}

}  // namespace

Result<std::vector<SecureSocket>> accept_neighbours(const Descriptor& listener, const RingDoor& door) {
  const auto until = Clock::now() + door.patience;
  std::vector<SecureSocket> here(door.expected.size());
  for (std::size_t missing = here.size(); missing > 0;) {
    if (Clock::now() >= until)
      return fail(
          Code::timeout,
          "[pipeline] expected {} more machines of this ring to connect within {} s but they did not; check that "
          "the machines reach each other on every port (a firewall?)",
          missing, door.patience.count() / 1000);
    if (door.given_up && door.given_up()) return fail(Code::closed, "[pipeline] the ring is no longer wanted");
    auto socket = tcp_accept(listener, look_up_interval);
    if (!socket && socket.error().code == Code::timeout) continue;
    if (!socket) return fail(socket.error());
    auto caller = hear(*std::move(socket), door, here);
    if (!caller) {
      log(LogLevel::warning, "pipeline", "a caller at the ring's door is turned away: {}", caller.error().message);
      continue;
    }
    here[caller->place] = std::move(caller->socket);
    --missing;
  }
  return here;
}

}  // namespace flotilla
