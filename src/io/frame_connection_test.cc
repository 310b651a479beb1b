// Claims about connections on the event loop: they echo, they bound what waits, they close once and say why.
#include "io/frame_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <future>
#include <optional>

#include "base/limits.h"
#include "wire/handshake.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

constexpr auto long_enough = 20s;

Bytes some_bytes(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i >> 2);
  return bytes;
}

// The loop, until the condition holds or `long_enough` is over; whether it holds.
template <class Condition>
bool turn(boost::asio::io_context& loop, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + long_enough;
  while (!condition() && std::chrono::steady_clock::now() < deadline) {
    loop.restart();
    loop.run_one_for(1s);
  }
  return condition();
}

// A connection on a loop that the test turns by hand, and the socket's other end.
class FrameConnectionTest : public testing::Test {
 protected:
  FrameConnectionTest() {
    auto pair = socket_pair().value();
    connection_ = FrameConnection::adopt(loop_.get_executor(), std::move(pair.first));
    other_ = std::move(pair.second);
  }

  void start() {
    connection_->start(
        [this](Frame frame) {
          frames_.push_back(std::move(frame));
          if (on_frame_) on_frame_();
        },
        [this](Error cause) { causes_.push_back(std::move(cause)); });
  }

  template <class Condition>
  bool turn_until(Condition condition) {
    return turn(loop_, condition);
  }
  bool turn_until_closed() {
    return turn_until([&] { return !causes_.empty(); });
  }
  void write(std::span<const std::byte> bytes) {
    ASSERT_EQ(::send(other_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }

  boost::asio::io_context loop_;
  std::shared_ptr<FrameConnection> connection_;
  Descriptor other_;
  std::vector<Frame> frames_;
  std::vector<Error> causes_;
  std::function<void()> on_frame_;
};

TEST_F(FrameConnectionTest, EchoesFramesOfEverySizeInOrder) {
  start();
  on_frame_ = [&] { connection_->send(frames_.back()); };
  constexpr std::size_t sizes[] = {0, 1, 1000, 65536, 65537, 3u << 20, 0};
  auto peer = std::async(std::launch::async, [&] {
    const auto link = make_tcp_link(std::move(other_));
    Frame frame;
    for (const std::size_t size : sizes) {
      if (!link->send({.kind = FrameKind::generate, .epoch = {1, 2}}, some_bytes(size))) return false;
      if (!link->receive(frame, long_enough) || frame.body != some_bytes(size) || frame.header.epoch != Epoch{1, 2})
        return false;
    }
    return true;
  });
  EXPECT_TRUE(turn_until_closed());  // the peer's link closes when it is done
  EXPECT_TRUE(peer.get());
  EXPECT_EQ(frames_.size(), std::size(sizes));
  ASSERT_EQ(causes_.size(), 1u);
  EXPECT_EQ(causes_[0].code, Code::closed);
  EXPECT_FALSE(connection_->is_open());
}

TEST_F(FrameConnectionTest, APeerThatDoesNotReadIsClosedAtTheBoundAndNotFromInsideSend) {
  start();
  const Frame frame = make_frame(FrameKind::token_event, some_bytes(1u << 20));
  int sent = 0;
  while (connection_->is_open() && sent < 100) {
    connection_->send(frame);
    ++sent;
    ASSERT_TRUE(causes_.empty());
  }
  EXPECT_LE(sent, 17);
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(causes_[0].code, Code::unavailable);
  EXPECT_THAT(causes_[0].message, HasSubstr("wait for it"));
  connection_->send(frame);  // dropped in silence
  EXPECT_EQ(causes_.size(), 1u);
}

TEST_F(FrameConnectionTest, AnOfferBeyondHalfTheQueueIsRefusedAndTheConnectionLivesOn) {
  start();
  const Frame prompt = make_frame(FrameKind::generate, some_bytes(1u << 20));
  int taken = 0;
  while (taken < 100 && connection_->offer(prompt)) ++taken;
  EXPECT_EQ(taken, 7);  // each with its header
  EXPECT_TRUE(connection_->is_open());
  for (int i = 0; i < 7; ++i) connection_->send(make_frame(FrameKind::token_event, some_bytes(1u << 20)));
  EXPECT_FALSE(connection_->offer(make_frame(FrameKind::generate, {})));
  EXPECT_TRUE(connection_->is_open());  // the other half was left to what cannot be refused
  auto peer = std::async(std::launch::async, [&] {
    const auto link = make_tcp_link(std::move(other_));
    Frame frame;
    int count = 0;
    while (count < 15 && link->receive(frame, long_enough)) ++count;
    return count;
  });
  bool taken_again = false;  // once the peer has read
  EXPECT_TRUE(turn_until([&] { return taken_again = taken_again || connection_->offer(prompt); }));
  EXPECT_TRUE(turn_until_closed());
  EXPECT_EQ(peer.get(), 15);
  EXPECT_EQ(causes_[0].code, Code::closed);
  EXPECT_FALSE(connection_->offer(prompt));
}

TEST_F(FrameConnectionTest, GarbageClosesWithCorrupt) {
  start();
  write(some_bytes(frame_header_bytes));
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(causes_[0].code, Code::corrupt);
  EXPECT_TRUE(frames_.empty());
}

TEST_F(FrameConnectionTest, ADamagedBodyClosesWithCorrupt) {
  start();
  Bytes body = some_bytes(100);
  write(encode_header({.kind = FrameKind::node_info}, body));
  body[50] ^= std::byte{4};
  write(body);
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(causes_[0].code, Code::corrupt);
  EXPECT_TRUE(frames_.empty());
}

TEST_F(FrameConnectionTest, FramesOfTheRingAreTooLargeHere) {
  start();
  write(encode_header({.kind = FrameKind::step}, Bytes(limits::control_body_bytes_max + 1)));
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(causes_[0].code, Code::too_large);
}

TEST_F(FrameConnectionTest, APeerThatHasProvedNothingMaySendLittleWhateverKindItSays) {
  connection_->bound_bodies(FrameConnection::stranger_body_bytes_max);
  start();
  const Bytes body = some_bytes(FrameConnection::stranger_body_bytes_max);
  write(encode_header({.kind = FrameKind::node_info}, body));
  write(body);
  ASSERT_TRUE(turn_until([&] { return !frames_.empty(); }));
  connection_->bound_bodies(limits::control_body_bytes_max);  // it has
  const Bytes more = some_bytes(body.size() + 1);
  write(encode_header({.kind = FrameKind::node_info}, more));
  write(more);
  ASSERT_TRUE(turn_until([&] { return frames_.size() == 2; }));
  connection_->bound_bodies(FrameConnection::stranger_body_bytes_max);
  write(encode_header({.kind = FrameKind{999}}, more));
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(causes_[0].code, Code::too_large);
  EXPECT_EQ(frames_.size(), 2u);
}

TEST_F(FrameConnectionTest, AFrameTooLargeToSendIsDroppedAndTheConnectionLivesOn) {
  start();
  connection_->send(make_frame(FrameKind::generate, Bytes(limits::control_body_bytes_max + 1)));
  EXPECT_TRUE(connection_->is_open());
  connection_->send(make_frame(FrameKind::ping, {}));
  const auto link = make_tcp_link(std::move(other_));
  Frame frame;
  loop_.poll();
  ASSERT_TRUE(link->receive(frame, long_enough));
  EXPECT_EQ(frame.header.kind, FrameKind::ping);
}

TEST_F(FrameConnectionTest, APeerCutInTheMiddleOfAFrameIsSaidSo) {
  start();
  write(std::span<const std::byte>(encode_header({.kind = FrameKind::node_info}, some_bytes(100))));
  write(some_bytes(40));
  other_ = {};
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(causes_[0].code, Code::closed);
  EXPECT_THAT(causes_[0].message, HasSubstr("88 bytes"));
}

TEST_F(FrameConnectionTest, CloseSendsWhatIsQueuedAndAnswersItsCauseOnce) {
  start();
  for (int i = 0; i < 8; ++i) connection_->send(make_frame(FrameKind::token_event, some_bytes(1u << 20)));
  connection_->close({Code::cancelled, "leaving"});
  connection_->close({Code::internal, "again"});
  EXPECT_FALSE(connection_->is_open());
  connection_->send(make_frame(FrameKind::ping, {}));
  auto peer = std::async(std::launch::async, [&] {
    const auto link = make_tcp_link(std::move(other_));
    Frame frame;
    int count = 0;
    while (link->receive(frame, long_enough)) ++count;
    return count;
  });
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(peer.get(), 8);
  ASSERT_EQ(causes_.size(), 1u);
  EXPECT_EQ(causes_[0].message, "leaving");
}

TEST_F(FrameConnectionTest, CloseDoesNotWaitForEverForAPeerThatDoesNotRead) {
  start();
  for (int i = 0; i < 8; ++i) connection_->send(make_frame(FrameKind::token_event, some_bytes(1u << 20)));
  connection_->close({Code::cancelled, "leaving"});
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(causes_[0].message, "leaving");
}

TEST_F(FrameConnectionTest, CloseFromInsideOnFrameDeliversNothingMore) {
  start();
  on_frame_ = [&] { connection_->close({Code::unauthorized, "no"}); };
  for (int i = 0; i < 3; ++i) write(encode_header({.kind = FrameKind::ping}, {}));
  other_ = {};
  ASSERT_TRUE(turn_until_closed());
  EXPECT_EQ(frames_.size(), 1u);
  EXPECT_EQ(causes_[0].message, "no");
}

TEST_F(FrameConnectionTest, AnotherVersionIsExplainedToBothSides) {
  HandshakeIdentity self{.node = random_node_id(), .name = "studio", .release = "0.1.0", .trust = TrustMode::trust_lan};
  HandshakeIdentity old{.node = random_node_id(), .name = "attic", .release = "0.0.1", .trust = TrustMode::trust_lan};
  Handshake responder = Handshake::respond(self, {});
  Handshake initiator = Handshake::initiate(old, ConnectionClass::control, {});
  start();
  on_frame_ = [&] {
    const auto status = responder.on_frame(frames_.back());
    if (const auto answer = responder.take_outgoing()) connection_->send(*answer);
    if (!status) connection_->close(status.error());
  };
  Frame hello = *initiator.take_outgoing();
  hello.header.version = 0;
  const auto peer = make_tcp_link(std::move(other_));
  ASSERT_TRUE(peer->send(hello));
  ASSERT_TRUE(turn_until([&] { return !connection_->is_open(); }));
  Frame answer;
  ASSERT_TRUE(peer->receive(answer, long_enough));
  const auto told = initiator.on_frame(answer);
  peer->close({Code::closed, "done"});
  ASSERT_TRUE(turn_until_closed());
  for (const Error& error : {told.error(), causes_[0]}) {
    EXPECT_EQ(error.code, Code::version_mismatch);
    EXPECT_THAT(error.message, AllOf(HasSubstr("0.1.0"), HasSubstr("0.0.1"), HasSubstr("update flotilla on attic")));
  }
}

TEST_F(FrameConnectionTest, ReleaseHandsTheSocketToABlockingLink) {
  start();
  Descriptor released;
  on_frame_ = [&] {
    if (frames_.size() == 2)
      released = connection_->release().socket;
    else
      connection_->send(make_frame(FrameKind::hello_reply, some_bytes(10)));
  };
  const auto peer = make_tcp_link(std::move(other_));
  ASSERT_TRUE(peer->send(make_frame(FrameKind::hello, some_bytes(3))));
  Frame frame;
  ASSERT_TRUE(turn_until([&] { return frames_.size() == 1; }));
  ASSERT_TRUE(peer->receive(frame, long_enough));
  ASSERT_TRUE(peer->send(make_frame(FrameKind::proof, {})));
  ASSERT_TRUE(peer->send(make_frame(FrameKind::range_request, some_bytes(20))));  // impatient
  ASSERT_TRUE(turn_until([&] { return frames_.size() == 2; }));
  ASSERT_TRUE(released);
  EXPECT_FALSE(connection_->is_open());
  connection_.reset();
  const auto link = make_tcp_link(std::move(released));
  ASSERT_TRUE(link->receive(frame, long_enough));
  EXPECT_EQ(frame.header.kind, FrameKind::range_request);
  EXPECT_EQ(frame.body, some_bytes(20));
  ASSERT_TRUE(link->send(make_frame(FrameKind::range_end, {})));
  ASSERT_TRUE(peer->receive(frame, long_enough));
  loop_.restart();
  loop_.poll();
  EXPECT_TRUE(causes_.empty());
}

TEST_F(FrameConnectionTest, CallbacksThatHoldTheConnectionAreForgottenAfterClosing) {
  const std::weak_ptr<FrameConnection> watched = connection_;
  bool closed = false;
  connection_->start([held = connection_](Frame) {}, [held = connection_, &closed](Error) { closed = true; });
  connection_.reset();
  other_ = {};
  ASSERT_TRUE(turn_until([&] { return closed; }));
  loop_.restart();
  loop_.poll();
  EXPECT_TRUE(watched.expired());
}

// --- Encrypted -----------------------------------------------------------------------------------

struct Device {
  SigningKey key = SigningKey::generate();
  TlsContext context = TlsContext::of_device(key, Certificate::of_device(key, {}), {});
};

// Two connections on one loop, with a TLS session at either end.
class SecuredTest : public testing::Test {
 protected:
  struct End {
    std::shared_ptr<FrameConnection> connection;
    bool secured = false;
    std::vector<Frame> frames;
    std::vector<Error> causes;
  };

  void adopt(End& end, SecureSocket socket) {
    end.connection = FrameConnection::adopt(loop_.get_executor(), std::move(socket));
    end.connection->when_secured([&end] { end.secured = true; });
    end.connection->start([&end](Frame frame) { end.frames.push_back(std::move(frame)); },
                          [&end](Error cause) { end.causes.push_back(std::move(cause)); });
  }
  void connect() {
    auto pair = socket_pair().value();
    adopt(here_, {std::move(pair.first), TlsSession(one_.context, TlsRole::initiator)});
    adopt(there_, {std::move(pair.second), TlsSession(other_.context, TlsRole::responder)});
  }
  template <class Condition>
  bool turn_until(Condition condition) {
    return turn(loop_, condition);
  }

  boost::asio::io_context loop_;
  const Device one_, other_;
  End here_, there_;
};

TEST_F(SecuredTest, FramesSentBeforeTheHandshakeArriveAfterIt) {
  connect();
  here_.connection->send(make_frame(FrameKind::generate, some_bytes(300'000)));
  here_.connection->send(make_frame(FrameKind::ping, {}));
  there_.connection->send(make_frame(FrameKind::pong, {}));
  ASSERT_TRUE(turn_until([&] { return there_.frames.size() == 2 && here_.frames.size() == 1; }));
  EXPECT_TRUE(here_.secured && there_.secured);
  EXPECT_EQ(there_.frames[0].body, some_bytes(300'000));
  EXPECT_EQ(there_.connection->tls()->peer()->id(), one_.key.id());
  EXPECT_EQ(here_.connection->tls()->exporter(), there_.connection->tls()->exporter());
}

TEST_F(SecuredTest, ManyFramesAtOnceKeepTheirOrder) {
  connect();
  for (int i = 0; i < 3000; ++i) here_.connection->send(make_frame(FrameKind::cancel, some_bytes(i % 50), {}, i));
  ASSERT_TRUE(turn_until([&] { return there_.frames.size() == 3000; }));
  for (std::size_t i = 0; i < there_.frames.size(); ++i) ASSERT_EQ(there_.frames[i].header.step, i);
}

TEST_F(SecuredTest, TheLastFrameBeforeCloseArrives) {
  connect();
  here_.connection->send(make_frame(FrameKind::goodbye, some_bytes(100'000)));
  here_.connection->close({Code::closed, "leaving"});
  ASSERT_TRUE(turn_until([&] { return !there_.causes.empty() && !here_.causes.empty(); }));
  ASSERT_EQ(there_.frames.size(), 1u);
  EXPECT_EQ(here_.causes[0].message, "leaving");
  EXPECT_EQ(there_.causes[0].code, Code::closed);
}

TEST_F(SecuredTest, ReleaseHandsTheSessionOnWithTheSocket) {
  auto pair = socket_pair().value();
  End& server = there_;
  SecureSocket released;
  server.connection = FrameConnection::adopt(loop_.get_executor(),
                                             {std::move(pair.first), TlsSession(other_.context, TlsRole::responder)});
  server.connection->start([&](Frame) { released = server.connection->release(); }, [](Error) {});
  auto asking = std::async(std::launch::async, [&]() -> Result<Frame> {
    const auto until = std::chrono::steady_clock::now() + long_enough;
    FLOTILLA_TRY(auto socket, shake_hands(std::move(pair.second), one_.context, TlsRole::initiator, until));
    const auto link = make_tcp_link(std::move(socket));
    FLOTILLA_TRY_STATUS(link->send(make_frame(FrameKind::proof, {})));
    FLOTILLA_TRY_STATUS(link->send(make_frame(FrameKind::range_request, some_bytes(20))));  // impatient
    Frame frame;
    FLOTILLA_TRY_STATUS(link->receive(frame, long_enough));
    return frame;
  });
  ASSERT_TRUE(turn_until([&] { return static_cast<bool>(released); }));
  const auto link = make_tcp_link(std::move(released));
  Frame frame;
  ASSERT_TRUE(link->receive(frame, long_enough));
  EXPECT_EQ(frame.body, some_bytes(20));
  ASSERT_TRUE(link->send(make_frame(FrameKind::range_end, some_bytes(70'000))));
  const auto answer = asking.get();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, some_bytes(70'000));
}

TEST_F(SecuredTest, AFrameInTheClearIsHandedOverAsSuch) {
  auto pair = socket_pair().value();
  adopt(there_, {std::move(pair.second), TlsSession(other_.context, TlsRole::responder)});
  const auto old = make_tcp_link(std::move(pair.first));
  ASSERT_TRUE(old->send(make_frame(FrameKind::hello, some_bytes(200))));
  ASSERT_TRUE(turn_until([&] { return there_.frames.size() == 1; }));
  EXPECT_TRUE(there_.secured);
  EXPECT_EQ(there_.connection->tls(), nullptr);
  there_.connection->send(make_frame(FrameKind::refused, {}));
  Frame frame;
  bool answered = false;
  ASSERT_TRUE(turn_until([&] { return answered = answered || old->receive(frame, 0ns).has_value(); }));
  EXPECT_EQ(frame.header.kind, FrameKind::refused);
}

TEST_F(SecuredTest, NonsenseAndSilenceCloseItWithASentence) {
  auto pair = socket_pair().value();
  adopt(there_, {std::move(pair.second), TlsSession(other_.context, TlsRole::responder)});
  const Bytes nonsense(500, std::byte{0x55});
  ASSERT_EQ(::send(pair.first.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL), 500);
  ASSERT_TRUE(turn_until([&] { return !there_.causes.empty(); }));
  EXPECT_EQ(there_.causes[0].code, Code::corrupt);
  EXPECT_FALSE(there_.secured);
}

TEST(FrameConnection, NamesItsPeersAddress) {
  boost::asio::io_context loop;
  const Descriptor listener = tcp_listen("", 0).value();
  const Descriptor connected = tcp_connect("127.0.0.1", local_port(listener), 5s).value();
  EXPECT_EQ(FrameConnection::adopt(loop.get_executor(), tcp_accept(listener, 5s).value())->remote_host(), "127.0.0.1");
  EXPECT_EQ(FrameConnection::adopt(loop.get_executor(), std::move(socket_pair()->first))->remote_host(), "");
}

}  // namespace
}  // namespace flotilla
