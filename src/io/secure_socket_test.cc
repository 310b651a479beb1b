// Claims about frames on a bare socket: of a stranger they take no more room and no more time than they are given.
#include "io/secure_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto long_enough = 20s;  // a bound for a hang, not a wait
constexpr std::size_t body_bytes_max = 1000;

class FramesOfAStranger : public testing::Test {
 protected:
  static Clock::time_point soon() { return Clock::now() + 200ms; }

  SecureSocket ours_, theirs_;

 private:
  void SetUp() override {
    auto pair = socket_pair().value();
    ours_ = std::move(pair.first);
    theirs_ = std::move(pair.second);
  }
};

TEST_F(FramesOfAStranger, ComeWhole) {
  const auto sent = make_frame(FrameKind::hello, Bytes(body_bytes_max, std::byte{7}));
  ASSERT_TRUE(send_frame(theirs_, sent, soon()));
  const auto frame = receive_frame(ours_, body_bytes_max, Clock::now() + long_enough);
  ASSERT_TRUE(frame) << frame.error().message;
  EXPECT_EQ(frame->header.kind, FrameKind::hello);
  EXPECT_EQ(frame->body, sent.body);
}

TEST_F(FramesOfAStranger, AreRefusedByTheirHeaderWhereTheyAreLong) {
  const Bytes body(body_bytes_max + 1);
  ASSERT_TRUE(send_exactly(theirs_, encode_header({.kind = FrameKind::step}, body), soon()));
  const auto frame = receive_frame(ours_, body_bytes_max, Clock::now() + long_enough);
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, Code::too_large) << frame.error().message;
}

TEST_F(FramesOfAStranger, HaveTheirTimeHoweverOftenAByteComes) {
  const Bytes body(body_bytes_max);
  const auto head = encode_header({.kind = FrameKind::hello}, body);
  std::jthread stranger([&](const std::stop_token& stop) {
    (void)send_exactly(theirs_, head, soon());
    for (std::size_t i = 0; i < body.size() && !stop.stop_requested(); ++i) {
      (void)send_exactly(theirs_, std::span(body).subspan(i, 1), soon());
      std::this_thread::sleep_for(20ms);
    }
  });
  const auto frame = receive_frame(ours_, body_bytes_max, soon());
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, Code::timeout) << frame.error().message;
}

TEST_F(FramesOfAStranger, AreWaitedForUntilTheyBeginOrNobodyIsThere) {
  EXPECT_FALSE(has_begun(ours_, Clock::now() + 1ms).value());
  ASSERT_TRUE(send_exactly(theirs_, Bytes(1), soon()));
  EXPECT_TRUE(has_begun(ours_, Clock::now() + long_enough).value());
  theirs_ = {};
  Bytes byte(1);
  ASSERT_TRUE(receive_exactly(ours_, byte, soon()));
  const auto frame = receive_frame(ours_, body_bytes_max, Clock::now() + long_enough);
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, Code::closed) << frame.error().message;
}

}  // namespace
}  // namespace flotilla
