// Claims about links of every kind: frames arrive whole and in order, a cut is noticed on both sides, close() wakes.
#include "io/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "base/limits.h"
#include "io/memory_link.h"
#include "io/modelled_link.h"
#include "io/secure_socket.h"
#include "io/tcp_link.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using LinkPair = std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>;

constexpr auto long_enough = 20s;  // a bound for a hang, not a wait

Bytes some_bytes(std::size_t count, unsigned seed = 1) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>((i * 31 + seed) >> 3);
  return bytes;
}

LinkPair over_sockets(TcpLinkOptions options = {}) {
  auto pair = socket_pair().value();
  return {make_tcp_link(std::move(pair.first), options), make_tcp_link(std::move(pair.second), options)};
}

LinkPair over_tcp() {
  const Descriptor listener = tcp_listen("127.0.0.1", 0).value();
  Descriptor connected = tcp_connect("127.0.0.1", local_port(listener), 5s).value();
  Descriptor accepted = tcp_accept(listener, 5s).value();
  return {make_tcp_link(std::move(connected)), make_tcp_link(std::move(accepted))};
}

LinkPair over_tls(TcpLinkOptions options = {}) {
  const auto context = TlsContext::of_shared_key(some_bytes(16));
  const auto until = Clock::now() + 10s;
  auto pair = socket_pair().value();
  auto there = std::async(std::launch::async, [&] {
    return shake_hands(std::move(pair.second), context, TlsRole::responder, until).value();
  });
  auto here = shake_hands(std::move(pair.first), context, TlsRole::initiator, until).value();
  return {make_tcp_link(std::move(here), options), make_tcp_link(there.get(), options)};
}

LinkPair modelled(LinkPair inner, const LinkModel& model = {}) {
  return {make_modelled_link(std::move(inner.first), model), make_modelled_link(std::move(inner.second), model)};
}

struct Kind {
  const char* name;
  LinkPair (*make)();
};

class EveryLink : public testing::TestWithParam<Kind> {
 protected:
  LinkPair links_ = GetParam().make();
  Link& here_ = *links_.first;
  Link& there_ = *links_.second;
};

TEST_P(EveryLink, FramesArriveWholeInBothDirections) {
  const Bytes body = some_bytes(1000);
  ASSERT_TRUE(here_.send({.kind = FrameKind::step, .epoch = {4, 5}, .step = 6}, body));
  ASSERT_TRUE(there_.send({.kind = FrameKind::ping}, {}));
  Frame frame;
  ASSERT_TRUE(there_.receive(frame, long_enough));
  EXPECT_EQ(frame.header.kind, FrameKind::step);
  EXPECT_EQ(frame.header.epoch, (Epoch{4, 5}));
  EXPECT_EQ(frame.header.step, 6u);
  EXPECT_EQ(frame.body, body);
  EXPECT_TRUE(check_body(frame.header, frame.body));
  ASSERT_TRUE(here_.receive(frame, long_enough));
  EXPECT_EQ(frame.header.kind, FrameKind::ping);
  EXPECT_TRUE(frame.body.empty());
}

TEST_P(EveryLink, FramesKeepTheirOrder) {
  constexpr std::uint64_t count = 2000;
  std::jthread sender([&] {
    for (std::uint64_t step = 0; step < count; ++step) {
      ASSERT_TRUE(here_.send({.kind = FrameKind::step, .step = step}, some_bytes(step % 700)));
    }
  });
  Frame frame;
  for (std::uint64_t step = 0; step < count; ++step) {
    ASSERT_TRUE(there_.receive(frame, long_enough));
    ASSERT_EQ(frame.header.step, step);
    ASSERT_EQ(frame.body.size(), step % 700);
  }
}

TEST_P(EveryLink, ALargeFrameCrosses) {
  const Bytes body = some_bytes(40u << 20);  // far beyond any socket's buffer
  std::jthread sender([&] { ASSERT_TRUE(here_.send({.kind = FrameKind::step}, body)); });
  Frame frame;
  ASSERT_TRUE(there_.receive(frame, long_enough));
  EXPECT_TRUE(frame.body == body);
}

TEST_P(EveryLink, NothingInTimeIsATimeoutAndTheLinkLivesOn) {
  Frame frame;
  EXPECT_EQ(there_.receive(frame, 0ns).error().code, Code::timeout);
  EXPECT_EQ(there_.receive(frame, 2ms).error().code, Code::timeout);
  ASSERT_TRUE(here_.send({.kind = FrameKind::ping}, {}));
  EXPECT_TRUE(there_.receive(frame, long_enough));
}

TEST_P(EveryLink, CloseWakesAWaitingReceiveOnBothSides) {
  auto waiting_here = std::async(std::launch::async, [&] {
    Frame frame;
    return here_.receive(frame, for_ever);
  });
  auto waiting_there = std::async(std::launch::async, [&] {
    Frame frame;
    return there_.receive(frame, for_ever);
  });
  here_.close({Code::cancelled, "enough"});
  ASSERT_EQ(waiting_here.wait_for(long_enough), std::future_status::ready);
  ASSERT_EQ(waiting_there.wait_for(long_enough), std::future_status::ready);
  EXPECT_EQ(waiting_here.get().error().message, "enough");
  EXPECT_EQ(waiting_there.get().error().code, Code::closed);
}

TEST_P(EveryLink, CloseWakesAWaitingSend) {
  auto sending = std::async(std::launch::async, [&] {
    const Bytes body = some_bytes(1u << 20);
    Status status;
    while (status) status = here_.send({.kind = FrameKind::step}, body);
    return status;
  });
  // Nobody reads, so that sooner or later send() waits; closing earlier must do no harm.
  here_.close({Code::cancelled, "enough"});
  ASSERT_EQ(sending.wait_for(long_enough), std::future_status::ready);
  EXPECT_EQ(sending.get().error().message, "enough");
}

TEST_P(EveryLink, AWaitingSendListensMeanwhileAndEndsWithWhatItHears) {
  int heard = 0;
  here_.while_sending_waits([&]() -> Status {
    if (++heard < 3) return {};
    return fail(Code::unavailable, "the ring is broken");
  });
  const Bytes body = some_bytes(4u << 20);
  Status status;
  while (status) status = here_.send({.kind = FrameKind::step}, body);  // nobody takes them
  EXPECT_EQ(heard, 3);
  EXPECT_EQ(status.error().message, "the ring is broken");
}

TEST_P(EveryLink, TheFirstCauseSticks) {
  here_.close({Code::cancelled, "first"});
  here_.close({Code::internal, "second"});
  Frame frame;
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(here_.receive(frame, for_ever).error().message, "first");
    EXPECT_EQ(here_.send({.kind = FrameKind::ping}, {}).error().message, "first");
    EXPECT_EQ(there_.receive(frame, for_ever).error().code, Code::closed);
  }
}

TEST_P(EveryLink, WhatWasSentBeforeTheCloseStillArrives) {
  ASSERT_TRUE(here_.send({.kind = FrameKind::goodbye}, some_bytes(50)));
  here_.close({Code::closed, "leaving"});
  Frame frame;
  ASSERT_TRUE(there_.receive(frame, long_enough));
  EXPECT_EQ(frame.header.kind, FrameKind::goodbye);
  EXPECT_EQ(there_.receive(frame, long_enough).error().code, Code::closed);
}

TEST_P(EveryLink, ABodyBeyondItsKindsLimitIsNotSentAndTheLinkLivesOn) {
  EXPECT_EQ(here_.send({.kind = FrameKind::hello}, some_bytes(1u << 20)).error().code, Code::too_large);
  ASSERT_TRUE(here_.send({.kind = FrameKind::ping}, {}));
  Frame frame;
  EXPECT_TRUE(there_.receive(frame, long_enough));
}

INSTANTIATE_TEST_SUITE_P(Io, EveryLink,
                         testing::Values(Kind{"Memory", [] { return make_memory_link_pair(); }},
                                         Kind{"SocketPair", [] { return over_sockets(); }},
                                         Kind{"SpinningSocketPair", [] { return over_sockets({.spin = 200us}); }},
                                         Kind{"Tcp", over_tcp}, Kind{"Tls", [] { return over_tls(); }},
                                         Kind{"SpinningTls", [] { return over_tls({.spin = 200us}); }},
                                         Kind{"ModelledMemory", [] { return modelled(make_memory_link_pair()); }},
                                         Kind{"ModelledTcp",
                                              [] { return modelled(over_tcp(), {.delay = 10us, .jitter = 20us}); }}),
                         [](const auto& test) { return std::string(test.param.name); });

// --- Bytes under a socket link -------------------------------------------------------------------

// A link at one end, bare bytes at the other.
struct BareEnd {
  BareEnd() {
    auto pair = socket_pair().value();
    link = make_tcp_link(std::move(pair.first));
    bare = std::move(pair.second);
  }
  void write(std::span<const std::byte> bytes) {
    ASSERT_EQ(::send(bare.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  std::unique_ptr<Link> link;
  Descriptor bare;
};

Bytes bytes_of_frame(const Frame& frame) {
  const auto header = encode_header(frame.header, frame.body);
  Bytes bytes(header.begin(), header.end());
  bytes.insert(bytes.end(), frame.body.begin(), frame.body.end());
  return bytes;
}

TEST(TcpLink, WhatIsSentIsCountedWithHeadersAndInMemoryNothingIs) {
  const auto send_two = [](LinkPair links) {
    EXPECT_TRUE(links.first->send({.kind = FrameKind::step}, some_bytes(1000)));
    EXPECT_TRUE(links.first->send({.kind = FrameKind::ping}, {}));
    EXPECT_EQ(links.second->sent().messages, 0u);
    return links.first->sent();
  };
  const Traffic sent = send_two(over_tcp());
  EXPECT_EQ(sent.messages, 2u);
  EXPECT_EQ(sent.bytes, 2 * frame_header_bytes + 1000);
  EXPECT_EQ(send_two(modelled(over_tcp())).messages, 2u);
  EXPECT_EQ(send_two(make_memory_link_pair()).bytes, 0u);
}

TEST(TcpLink, LinkCutMidFrameFailsBothSides) {
  const Bytes whole = bytes_of_frame(make_frame(FrameKind::step, some_bytes(100)));
  for (const std::size_t bytes : {1u, 47u, 48u, 147u}) {
    BareEnd end;
    end.write(std::span(whole).first(bytes));
    end.bare = {};
    Frame frame;
    const auto status = end.link->receive(frame, long_enough);
    ASSERT_FALSE(status) << bytes;
    EXPECT_EQ(status.error().code, Code::closed);
    EXPECT_THAT(status.error().message, HasSubstr("of a frame's"));
    EXPECT_EQ(end.link->send({.kind = FrameKind::ping}, {}).error().message, status.error().message);
  }
}

TEST(TcpLink, AFrameInPiecesIsPutTogether) {
  const Frame sent = make_frame(FrameKind::step, some_bytes(300));
  BareEnd end;
  auto received = std::async(std::launch::async, [&] {
    Frame frame;
    EXPECT_TRUE(end.link->receive(frame, long_enough));
    return frame.body;
  });
  for (const std::byte byte : bytes_of_frame(sent)) end.write(std::span(&byte, 1));
  EXPECT_EQ(received.get(), sent.body);
}

TEST(TcpLink, GarbageClosesTheLinkForBothSides) {
  BareEnd end;
  end.write(some_bytes(frame_header_bytes));
  Frame frame;
  EXPECT_EQ(end.link->receive(frame, long_enough).error().code, Code::corrupt);
  EXPECT_EQ(end.link->receive(frame, long_enough).error().code, Code::corrupt);
  std::byte byte;
  EXPECT_EQ(::recv(end.bare.get(), &byte, 1, 0), 0);
}

TEST(TcpLink, ADamagedBodyClosesTheLink) {
  BareEnd end;
  Bytes bytes = bytes_of_frame(make_frame(FrameKind::step, some_bytes(100)));
  bytes.back() ^= std::byte{1};
  end.write(bytes);
  Frame frame;
  EXPECT_EQ(end.link->receive(frame, long_enough).error().code, Code::corrupt);
}

TEST(TcpLink, AHeaderAloneClaimsNoMemory) {
  BareEnd end;
  const Bytes body(200u << 20);
  end.write(encode_header({.kind = FrameKind::step}, body));
  end.bare = {};
  Frame frame;
  EXPECT_EQ(end.link->receive(frame, long_enough).error().code, Code::closed);
  EXPECT_LE(frame.body.capacity(), 2u << 20);
}

TEST(TcpLink, TheBodysMemoryIsReused) {
  const auto [here, there] = over_sockets();
  Frame frame;
  ASSERT_TRUE(here->send({.kind = FrameKind::step}, some_bytes(5000)));
  ASSERT_TRUE(there->receive(frame, long_enough));
  const auto* at = frame.body.data();
  ASSERT_TRUE(here->send({.kind = FrameKind::step}, some_bytes(4000)));
  ASSERT_TRUE(there->receive(frame, long_enough));
  EXPECT_EQ(frame.body.data(), at);
  EXPECT_EQ(frame.body, some_bytes(4000));
}

// --- Making connections --------------------------------------------------------------------------

TEST(TcpSockets, AListenerOfAllAddressesTakesBothFamiliesAndNamesTheCaller) {
  const auto listener = tcp_listen("", 0);
  ASSERT_TRUE(listener) << listener.error().message;
  for (const char* host : {"127.0.0.1", "::1", "localhost"}) {
    const auto connected = tcp_connect(host, local_port(*listener), 5s);
    if (!connected && std::string_view(host) == "::1") continue;  // a machine without IPv6
    ASSERT_TRUE(connected) << connected.error().message;
    const auto accepted = tcp_accept(*listener, 5s);
    ASSERT_TRUE(accepted);
    const std::string caller = remote_host(*accepted);
    EXPECT_TRUE(caller == "127.0.0.1" || caller == "::1") << caller;
  }
  EXPECT_EQ(remote_host(socket_pair()->first), "");
}

TEST(TcpSockets, ATakenPortIsBusyAndNamed) {
  for (const char* host : {"", "127.0.0.1"}) {
    const Descriptor listener = tcp_listen(host, 0).value();
    const auto second = tcp_listen(host, local_port(listener));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::busy);
    EXPECT_THAT(second.error().message, HasSubstr(std::to_string(local_port(listener))));
  }
}

TEST(TcpSockets, ClosedPortsAndNonsenseAreExplained) {
  std::uint16_t port = 0;
  {
    const Descriptor listener = tcp_listen("127.0.0.1", 0).value();
    port = local_port(listener);
  }
  const auto refused = tcp_connect("127.0.0.1", port, 5s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("127.0.0.1:" + std::to_string(port)));
  EXPECT_FALSE(tcp_connect("not a host", 1, 5s));
  EXPECT_EQ(tcp_listen("203.0.113.77", 0).error().code, Code::invalid_argument);
}

TEST(TcpSockets, AcceptTimesOut) {
  const Descriptor listener = tcp_listen("127.0.0.1", 0).value();
  EXPECT_EQ(tcp_accept(listener, 1ms).error().code, Code::timeout);
}

TEST(TcpLink, AFrameThatRestsTooLongEndsTheLink) {
  auto sockets = socket_pair().value();
  const auto link = make_tcp_link(std::move(sockets.first), {.rest_max = 20ms});
  const FrameHeaderBytes head = encode_header({.kind = FrameKind::step}, some_bytes(100));
  ASSERT_EQ(::send(sockets.second.get(), head.data(), head.size(), 0), static_cast<ssize_t>(head.size()));
  Frame frame;
  EXPECT_EQ(link->receive(frame, long_enough).error().code, Code::unavailable) << "the body never comes";
  EXPECT_EQ(link->receive(frame, long_enough).error().code, Code::unavailable) << "the link is closed, its cause stays";
}

TEST(TcpLink, APeerThatTakesNothingTooLongEndsTheLink) {
  auto sockets = socket_pair().value();
  const auto link = make_tcp_link(std::move(sockets.first), {.rest_max = 20ms});
  EXPECT_EQ(link->send({.kind = FrameKind::step}, some_bytes(8u << 20)).error().code, Code::unavailable);
}

TEST(TcpLink, TheSystemIsAskedToProbeASilentPeer) {
  const Descriptor listener = tcp_listen("127.0.0.1", 0).value();
  auto calling = tcp_connect("127.0.0.1", local_port(listener), 5s).value();
  const int fd = calling.get();
  const auto link = make_tcp_link(std::move(calling));
  int probes = 0;
  socklen_t bytes = sizeof probes;
  ASSERT_EQ(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &probes, &bytes), 0);
  EXPECT_NE(probes, 0);
}

// --- The modelled link ---------------------------------------------------------------------------

TEST(ModelledLink, DeliversNoEarlierThanDelayAndTransferTime) {
  const LinkModel model{.bits_per_second = 100e6, .delay = 3ms};
  const auto [here, there] = modelled(make_memory_link_pair(), model);
  const Bytes body = some_bytes(100'000);  // 8 ms at 100 Mb/s
  const auto start = Clock::now();
  ASSERT_TRUE(here->send({.kind = FrameKind::step}, body));
  ASSERT_TRUE(here->send({.kind = FrameKind::step}, body));
  Frame frame;
  ASSERT_TRUE(there->receive(frame, long_enough));
  EXPECT_GE(Clock::now() - start, 11ms);
  EXPECT_EQ(frame.body, body);
  EXPECT_EQ(frame.header.body_bytes, body.size());
  ASSERT_TRUE(there->receive(frame, long_enough));
  EXPECT_GE(Clock::now() - start, 19ms);  // the second had to wait for the first to leave
}

TEST(ModelledLink, ScaleMultipliesEveryTime) {
  const auto [here, there] = modelled(make_memory_link_pair(), {.delay = 1ms, .scale = 8});
  const auto start = Clock::now();
  ASSERT_TRUE(here->send({.kind = FrameKind::ping}, {}));
  Frame frame;
  ASSERT_TRUE(there->receive(frame, long_enough));
  EXPECT_GE(Clock::now() - start, 8ms);
}

TEST(ModelledLink, AFrameUnderWayIsATimeoutUntilItArrives) {
  const auto [here, there] = modelled(make_memory_link_pair(), {.delay = 200ms});
  ASSERT_TRUE(here->send({.kind = FrameKind::step, .step = 7}, some_bytes(10)));
  Frame frame;
  EXPECT_EQ(there->receive(frame, 0ns).error().code, Code::timeout);
  EXPECT_EQ(there->receive(frame, 1ms).error().code, Code::timeout);
  ASSERT_TRUE(there->receive(frame, long_enough));
  EXPECT_EQ(frame.header.step, 7u);
  EXPECT_EQ(frame.body, some_bytes(10));
}

TEST(ModelledLink, CloseEndsTheWaitForAFrameUnderWay) {
  const auto [here, there] = modelled(make_memory_link_pair(), {.delay = 1h});
  ASSERT_TRUE(here->send({.kind = FrameKind::ping}, {}));
  auto waiting = std::async(std::launch::async, [&] {
    Frame frame;
    return there->receive(frame, for_ever);
  });
  there->close({Code::cancelled, "enough"});
  ASSERT_EQ(waiting.wait_for(long_enough), std::future_status::ready);
  EXPECT_EQ(waiting.get().error().message, "enough");
}

TEST(ModelledLink, ProfilesAndValuesAreReadFromText) {
  const auto model = link_model_from_text("delay=150us,rate=1g,jitter=2ms,scale=0.5,seed=9").value();
  EXPECT_EQ(model.delay, 150us);
  EXPECT_EQ(model.bits_per_second, 1e9);
  EXPECT_EQ(model.jitter, 2ms);
  EXPECT_EQ(model.scale, 0.5);
  EXPECT_EQ(model.seed, 9u);
  for (const char* name : {"1gbe", "10gbe", "2.5gbe", "thunderbolt", "rdma", "wifi", "wan20"}) {
    const auto profile = link_model_from_text(name);
    ASSERT_TRUE(profile) << name;
    EXPECT_GT(profile->delay, 0ns);
    EXPECT_GT(profile->bits_per_second, 0);
  }
  EXPECT_NEAR(latency_seconds(model), 0.5 * (150e-6 + 1e-3), 1e-12) << "half of the jitter, scaled";
  EXPECT_NEAR(bytes_per_second(model), 2 * 1e9 / 8, 1e-3);
  EXPECT_GT(bytes_per_second(link_model_from_text("delay=1ms").value()), 1e300);
  EXPECT_EQ(link_model_from_text("1gbe,scale=0.2")->scale, 0.2);
  EXPECT_EQ(link_model_from_text("1gbe,scale=0.2")->delay, 150us);
}

TEST(ModelledLink, NonsenseIsRefusedWithAnExample) {
  for (const char* text : {"", "2gbe", "delay", "delay=", "delay=5", "delay=-5us", "delay=nanus", "rate=1q", "rate=inf",
                           "seed=x", "seed=1x", "scale=1,1gbe", "delay=1us,", "delay=9e9s", "colour=red"}) {
    const auto model = link_model_from_text(text);
    ASSERT_FALSE(model) << text;
    EXPECT_EQ(model.error().code, Code::invalid_argument);
    EXPECT_THAT(model.error().message, HasSubstr("delay=150us"));
  }
}

}  // namespace
}  // namespace flotilla
