#include "pipeline/ring_hello.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/sha256.h"
#include "io/socket_calls.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t hello_bytes_max = 1024;  // a ring_hello is about 150 bytes
constexpr std::chrono::milliseconds look_up_interval{100};

// Exactly `bytes`, or an error once `until` has passed. A Link is no help here: it waits for the rest of a frame that
// has begun for as long as it takes, and makes room for the largest frame there is.
Status read_exactly(int fd, std::span<std::byte> bytes, Clock::time_point until) {
  while (!bytes.empty()) {
    const int ready = poll_until(fd, POLLIN, until);
    if (ready == 0) return fail(Code::timeout, "[pipeline] expected a ring hello but the caller said nothing in time");
    if (ready < 0) return fail(Code::closed, "[pipeline] expected a ring hello but the connection broke");
    const auto count = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count == 0) return fail(Code::closed, "[pipeline] expected a ring hello but the caller hung up");
    if (count < 0 && errno != EAGAIN && errno != EINTR)
      return fail(Code::closed, "[pipeline] expected a ring hello but the connection broke");
    if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<RingHello> read_hello(const Descriptor& socket, std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  FrameHeaderBytes header_bytes{};
  FLOTILLA_TRY_STATUS(read_exactly(socket.get(), header_bytes, until));
  FLOTILLA_TRY(const auto header, decode_header(header_bytes));
  if (header.kind != FrameKind::ring_hello || header.body_bytes > hello_bytes_max)
    return fail(Code::corrupt, "[pipeline] expected a ring hello but got {} of {} bytes", to_string(header.kind),
                header.body_bytes);
  Bytes body(header.body_bytes);
  FLOTILLA_TRY_STATUS(read_exactly(socket.get(), body, until));
  FLOTILLA_TRY_STATUS(check_body(header, body));
  return decode_ring_hello(body);
}

}  // namespace

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

// The place among those still expected whose hello this is; all are compared, so that no answer is quicker than another.
Result<std::size_t> place_of(const RingHello& hello, std::span<const RingHello> expected,
                             std::span<const Descriptor> here) {
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

}  // namespace

Result<std::vector<Descriptor>> accept_neighbours(const Descriptor& listener, const RingDoor& door) {
  const auto until = Clock::now() + door.patience;
  std::vector<Descriptor> here(door.expected.size());
  for (std::size_t missing = here.size(); missing > 0;) {
    if (Clock::now() >= until)
      return fail(Code::timeout,
                  "[pipeline] expected {} more machines of this ring to connect within {} s but they did not; check that "
                  "the machines reach each other on every port (a firewall?)",
                  missing, door.patience.count() / 1000);
    if (door.given_up && door.given_up()) return fail(Code::closed, "[pipeline] the ring is no longer wanted");
    auto socket = tcp_accept(listener, look_up_interval);
    if (!socket && socket.error().code == Code::timeout) continue;
    if (!socket) return fail(socket.error());
    const auto hello = read_hello(*socket, door.hello_patience);
    const auto place = hello ? place_of(*hello, door.expected, here) : fail(hello.error());
    if (!place) {
      log(LogLevel::warning, "pipeline", "a caller at the ring's door is turned away: {}", place.error().message);
      continue;
    }
    here[*place] = *std::move(socket);
    --missing;
  }
  return here;
}

}  // namespace flotilla
