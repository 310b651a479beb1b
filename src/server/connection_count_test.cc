// Who may have how many connections.
#include "server/connection_count.h"

#include <gtest/gtest.h>

#include "server/peer_address.h"

namespace flotilla {
namespace {

using boost::asio::ip::make_address;
using Verdict = ConnectionCount::Verdict;

constexpr ConnectionCount::Limits few{.near_max = 2, .far_max = 3, .per_address_max = 2};

const ConnectionCount::Caller near{.address = make_address("127.0.0.1"), .is_near = true};
ConnectionCount::Caller from(const char* address) { return {.address = make_address(address)}; }

TEST(ConnectionCount, OneAddressCannotTakeAllThereAre) {
  ConnectionCount count;
  EXPECT_EQ(count.add(from("10.0.0.1"), few), Verdict::welcome);
  EXPECT_EQ(count.add(from("10.0.0.1"), few), Verdict::welcome);
  EXPECT_EQ(count.add(from("10.0.0.1"), few), Verdict::too_many_of_one);
  EXPECT_EQ(count.add(from("10.0.0.2"), few), Verdict::welcome);
  count.forget(from("10.0.0.1"));
  EXPECT_EQ(count.add(from("10.0.0.1"), few), Verdict::welcome);
}

TEST(ConnectionCount, AllOthersTogetherLeaveThisMachineItsOwn) {
  ConnectionCount count;
  for (const auto* address : {"10.0.0.1", "10.0.0.2", "10.0.0.3"})
    EXPECT_EQ(count.add(from(address), few), Verdict::welcome);
  EXPECT_EQ(count.add(from("10.0.0.4"), few), Verdict::full);
  EXPECT_EQ(count.add(near, few), Verdict::welcome);
  EXPECT_EQ(count.add(near, few), Verdict::welcome);
  EXPECT_EQ(count.add(near, few), Verdict::full);
  count.forget(near);
  EXPECT_EQ(count.add(near, few), Verdict::welcome);
}

TEST(ConnectionCount, AHouseholdsAddressesAreOne) {
  EXPECT_EQ(connection_owner(make_address("2001:db8:1:2::a")), connection_owner(make_address("2001:db8:1:2:3:4:5:6")));
  EXPECT_NE(connection_owner(make_address("2001:db8:1:2::a")), connection_owner(make_address("2001:db8:1:3::a")));
  EXPECT_NE(connection_owner(make_address("fe80::1")), connection_owner(make_address("fe80::2")));
}

TEST(PeerAddress, IsThisMachinesOverLoopbackAndWhereBothEndsAreOneAddress) {
  EXPECT_TRUE(is_from_this_machine(make_address("127.0.0.2"), make_address("127.0.0.1")));
  EXPECT_TRUE(is_from_this_machine(make_address("10.0.0.1"), make_address("10.0.0.1")));
  EXPECT_FALSE(is_from_this_machine(make_address("10.0.0.2"), make_address("10.0.0.1")));
  EXPECT_FALSE(is_from_this_machine(make_address("0.0.0.0"), make_address("0.0.0.0"))) << "not known";
}

TEST(PlainAddress, IsTheSameHoweverItsSocketWritesIt) {
  EXPECT_EQ(plain_address(make_address("::ffff:10.0.0.1")), make_address("10.0.0.1"));
  EXPECT_EQ(plain_address(make_address("fe80::1%1")), make_address("fe80::1"));
}

}  // namespace
}  // namespace flotilla
