#include "cluster/link_probe.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/limits.h"
#include "cluster/bulk.h"
#include "cluster/interfaces.h"
#include "io/tcp_link.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto connect_time_max = 2s, answer_time_max = 3s, probe_time_max = 15s;
constexpr int warming_trips = 3, trips_min = 5, trips_max = 25;
constexpr double trips_seconds = 0.5;  // on a far link, fewer must do
// The first opens the sender's window; 4 MiB only where 1 MiB is over too soon to tell.
constexpr std::uint64_t opening_bytes = 256u << 10, rate_bytes = 1u << 20, fast_rate_bytes = 4u << 20;
constexpr double soon_seconds = 0.02;
static_assert(fast_rate_bytes <= limits::rate_bytes_max);
constexpr double message_bytes = 32 << 10;
constexpr double worth_changing = 0.9;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// One end of a probe's connection: every question has the rest of the probe's time.
struct Asking {
  Link& link;
  Clock::time_point until = Clock::now() + probe_time_max;

  Status receive(Frame& frame) const {
    const auto left = std::max<Clock::duration>(until - Clock::now(), {});
    return link.receive(frame, std::min<std::chrono::nanoseconds>(answer_time_max, left));
  }
};

// Seconds until the last of so many bytes is here.
Result<double> fetch(const Asking& asking, std::uint64_t bytes) {
  const auto start = Clock::now();
  FLOTILLA_TRY_STATUS(asking.link.send(make_frame(FrameKind::rate_request, encode(RateRequest{bytes}))));
  Frame frame;
  std::uint64_t got = 0;
  while (true) {
    FLOTILLA_TRY_STATUS(asking.receive(frame));
    if (frame.header.kind != FrameKind::range_data) break;
    if (frame.body.empty()) return fail(Code::corrupt, "[cluster] expected data to measure a link by but got none");
    got += frame.body.size();
    if (got > bytes) break;
  }
  if (frame.header.kind != FrameKind::range_end || got > bytes)
    return fail(Code::corrupt, "[cluster] expected {} bytes to measure a link by but got {} and a {}", bytes, got,
                to_string(frame.header.kind));
  FLOTILLA_TRY(const RangeEnd end, decode_range_end(frame.body));
  if (!end.ok) return fail(Error{code_from_string(end.code), end.message});
  return seconds_since(start);
}

Result<double> round_trip(const Asking& asking) {
  for (int i = 0; i < warming_trips; ++i) FLOTILLA_TRY_STATUS(fetch(asking, 0));
  std::vector<double> trips;
  const auto start = Clock::now();
  while (trips.size() < trips_min || (trips.size() < trips_max && seconds_since(start) < trips_seconds)) {
    FLOTILLA_TRY(const double seconds, fetch(asking, 0));
    trips.push_back(seconds);
  }
  std::ranges::sort(trips);
  return trips[trips.size() / 2];
}

Result<double> rate(const Asking& asking, double trip) {
  const auto measure = [&](std::uint64_t bytes) -> Result<std::pair<double, double>> {
    FLOTILLA_TRY(const double seconds, fetch(asking, bytes));
    // The question's way there and the first byte's way here are latency, not rate.
    const double moving = seconds > 1.5 * trip ? seconds - trip : seconds;
    return std::pair(static_cast<double>(bytes) / moving, seconds);
  };
  FLOTILLA_TRY_STATUS(fetch(asking, opening_bytes));
  FLOTILLA_TRY(auto measured, measure(rate_bytes));
  if (measured.second < soon_seconds) {
    FLOTILLA_TRY(measured, measure(fast_rate_bytes));
  }
  return measured.first;
}

}  // namespace

Result<LinkFigures> probe_link(const NodeIdentity& self, const NodeId& peer, const PeerAddress& address) {
  FLOTILLA_TRY(auto socket, tcp_connect(address.host, address.port, connect_time_max));
  const LocalEnd end = local_end(socket);
  FLOTILLA_TRY(const auto opening, introduce_bulk(std::move(socket), self, {.rest_max = answer_time_max}));
  if (opening.peer.node != peer)
    return fail(Code::unauthorized, "[cluster] expected another machine at {} but {} answers there", to_string(address),
                opening.peer.name);
  LinkFigures figures{.interface = end.interface, .real = end.real};
  const Asking asking{.link = *opening.link};
  FLOTILLA_TRY(const double trip, round_trip(asking));
  figures.latency_seconds = trip / 2;
  FLOTILLA_TRY(figures.bytes_per_second, rate(asking, trip));
  return figures;
}

Status answer_rate(Link& link, const RateRequest& request) {
  static const Bytes bytes(limits::bulk_chunk_bytes);
  for (std::uint64_t done = 0; done < request.bytes;) {
    const auto chunk = std::span(bytes).first(std::min<std::uint64_t>(request.bytes - done, bytes.size()));
    FLOTILLA_TRY_STATUS(link.send(FrameHeader{.kind = FrameKind::range_data}, chunk));
    done += chunk.size();
  }
  return link.send(
      make_frame(FrameKind::range_end,
                 encode(RangeEnd{.ok = true, .bytes = request.bytes, .sha256 = {}, .code = {}, .message = {}})));
}

Status refuse_rate(Link& link, const Error& cause) {
  return link.send(make_frame(
      FrameKind::range_end,
      encode(
          RangeEnd{.ok = false, .sha256 = {}, .code = std::string(to_string(cause.code)), .message = cause.message})));
}

double message_seconds(const LinkFigures& figures) {
  return figures.latency_seconds + message_bytes / std::max(figures.bytes_per_second, 1.0);
}

bool is_better(const LinkFigures& candidate, const LinkFigures& current) {
  if (candidate.real != current.real) return candidate.real;
  return message_seconds(candidate) < worth_changing * message_seconds(current);
}

}  // namespace flotilla
