// Claims about beacons, hints and dials, with time made by hand.
#include "cluster/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/limits.h"
#include "cluster/complaints.h"
#include "cluster/interfaces.h"
#include "cluster/peers_file.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

NodeId id(std::uint8_t last) {
  NodeId node;
  node.bytes.back() = last;
  return node;
}

struct Beacons : testing::Test {
  Instant now = Instant() + 1h;
  Discovery make(std::uint8_t node, std::uint64_t nonce = 0) {
    return Discovery({.node = id(node),
                      .name = "node" + std::to_string(node),
                      .nonce = nonce == 0 ? node * 1000u : nonce,
                      .cluster_port = 52414,
                      .jitter_seed = node},
                     now);
  }
  static Beacon beacon_of(std::uint8_t node, std::uint64_t nonce, std::uint64_t wave = 1) {
    return {.version = protocol_version,
            .nonce = nonce,
            .node = id(node),
            .wave = wave,
            .cluster_port = 52414,
            .name = "other"};
  }
  // Counts the beacons of the next `time`.
  int beacons_in(Discovery& discovery, std::chrono::milliseconds time) {
    int count = 0;
    for (const auto end = now + time; now < end; now += 50ms) count += discovery.take_beacon(now).has_value();
    return count;
  }
};

TEST_F(Beacons, SurviveTheirBytes) {
  Beacon beacon = beacon_of(3, 0x0123456789abcdef, 77);
  beacon.is_answer = true;
  beacon.name = "Büro-3 机";
  EXPECT_EQ(decode_beacon(encode_beacon(beacon)).value(), beacon);
}

TEST_F(Beacons, LieOnTheWireAsDocumented) {
  const auto bytes = encode_beacon(beacon_of(9, 0x1122334455667788, 5));
  const auto at = [&](std::size_t offset) { return std::to_integer<int>(bytes[offset]); };
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), 4), "FLTB");
  EXPECT_EQ(at(4), protocol_version);
  EXPECT_EQ(at(8), 0x88);
  EXPECT_EQ(at(31), 9);
  EXPECT_EQ(at(32), 5);
  EXPECT_EQ(at(40) | at(41) << 8, 52414);
  EXPECT_EQ(at(42), 5);
  EXPECT_EQ(at(44), 'o');
}

TEST_F(Beacons, ParserSurvivesGarbage) {
  std::mt19937 random(7);
  const auto valid = encode_beacon(beacon_of(1, 1));
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes(valid.begin(), valid.end());
    if (round % 2 == 0) {
      bytes.resize(random() % 300);
      for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    } else {
      for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
        bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    if (const auto beacon = decode_beacon(bytes)) {
      EXPECT_FALSE(beacon->name.empty());
      EXPECT_NE(beacon->cluster_port, 0);
    }
  }
}

TEST_F(Beacons, WithUnprintableNamesAreRefused) {
  for (const std::string& name :
       {std::string("\x1b[2J"), std::string("a\nb"), std::string("\xff\xfe"), std::string("\xc2\x85"), std::string(),
        std::string("\xe0\x80\xaf"), std::string("\xf0\x80\x80\xaf"),     // a slash in too many bytes
        std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80")}) {  // half of a pair; beyond U+10FFFF
    auto beacon = beacon_of(1, 1);
    beacon.name = name;
    EXPECT_FALSE(decode_beacon(encode_beacon(beacon))) << name;
  }
  auto beacon = beacon_of(1, 1);
  beacon.name = std::string(63, 'x') + "é" + "y";  // cut before the character that does not fit
  EXPECT_EQ(decode_beacon(encode_beacon(beacon))->name, std::string(63, 'x'));
}

// Whoever forges one would else have us knock there for as long as the member stays.
TEST_F(Beacons, ThatNameAMemberAreForgottenAsOthersAreUnlessItHasAnsweredThere) {
  auto discovery = make(1);
  const PeerAddress real{"192.168.1.2", 52414}, forged{"192.168.1.66", 52414};
  const auto beacon = encode_beacon(beacon_of(2, 7));
  for (const auto& address : {real, forged}) ASSERT_TRUE(discovery.on_beacon(address.host, beacon, now));
  discovery.on_dial_done(real, id(2), now);
  discovery.on_joined(id(2));
  EXPECT_THAT(discovery.addresses_of(id(2)), ElementsAre(real, forged)) << "it may be another cable";
  now += Discovery::heard_kept + 1s;
  (void)discovery.take_due_dials(now);
  EXPECT_THAT(discovery.addresses_of(id(2)), ElementsAre(real));
}

TEST_F(Beacons, ComeFastForFifteenSecondsAndThenSlowly) {
  auto discovery = make(1);
  EXPECT_TRUE(discovery.take_beacon(now));
  EXPECT_EQ(beacons_in(discovery, 15s), 15);
  EXPECT_LE(beacons_in(discovery, 100s), 6);
  EXPECT_GE(beacons_in(discovery, 100s), 3);
  discovery.announce(now);
  EXPECT_GE(beacons_in(discovery, 5s), 5);
}

TEST_F(Beacons, AreNotSentWhereDiscoveryIsOff) {
  Discovery silent({.node = id(1), .name = "a", .nonce = 1, .cluster_port = 1, .beacons = false}, now);
  EXPECT_EQ(beacons_in(silent, 20s), 0);
}

TEST_F(Beacons, TwoNodesFindEachOtherAtOnceWhicheverStartsFirst) {
  for (const auto& [old_id, new_id] : {std::pair(1, 2), std::pair(2, 1)}) {
    auto veteran = make(static_cast<std::uint8_t>(old_id));
    beacons_in(veteran, 60s);  // long past its fast period
    auto newcomer = make(static_cast<std::uint8_t>(new_id));
    const auto first = newcomer.take_beacon(now);
    ASSERT_TRUE(first);
    const auto heard = veteran.on_beacon("10.0.0.2", *first, now);
    ASSERT_TRUE(heard);
    EXPECT_TRUE(heard->answer);
    const auto answer = veteran.answer();
    EXPECT_LE(answer.size(), first->size());
    const auto heard_back = newcomer.on_beacon("10.0.0.1", answer, now);
    ASSERT_TRUE(heard_back);
    EXPECT_FALSE(heard_back->answer);  // answers are not answered
    auto& lower = old_id < new_id ? veteran : newcomer;
    auto& higher = old_id < new_id ? newcomer : veteran;
    EXPECT_EQ(lower.take_due_dials(now).size(), 1u);
    EXPECT_THAT(higher.take_due_dials(now), IsEmpty());
    EXPECT_EQ(higher.take_due_dials(now + Discovery::yield_to_lower_id).size(), 1u);
  }
}

TEST_F(Beacons, OwnOnesAreIgnoredAndCopiedHomesTold) {
  auto discovery = make(1, 5);
  EXPECT_EQ(discovery.on_beacon("10.0.0.1", encode_beacon(beacon_of(1, 5)), now).error().code, Code::cancelled);
  EXPECT_EQ(discovery.on_beacon("10.0.0.9", encode_beacon(beacon_of(1, 6)), now).error().code, Code::unauthorized);
  EXPECT_THAT(discovery.take_due_dials(now + 1min), IsEmpty());
}

TEST_F(Beacons, OfAnotherVersionAreShownAndNotDialled) {
  auto discovery = make(1);
  auto beacon = beacon_of(2, 7);
  beacon.version = protocol_version + 1;
  const auto heard = discovery.on_beacon("10.0.0.2", encode_beacon(beacon), now);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->beacon.version, protocol_version + 1);
  EXPECT_FALSE(heard->answer);
  EXPECT_THAT(discovery.take_due_dials(now + 1min), IsEmpty());
}

TEST_F(Beacons, OneSourceCausesAtMostFiveHintsASecond) {
  auto discovery = make(1);
  int taken = 0;
  for (std::uint8_t i = 10; i < 60; ++i)
    taken += discovery.on_beacon("10.0.0.6", encode_beacon(beacon_of(i, i)), now).has_value();
  EXPECT_EQ(taken, Discovery::hints_per_second_max);
  EXPECT_TRUE(discovery.on_beacon("10.0.0.7", encode_beacon(beacon_of(99, 99)), now));  // others are still heard
  EXPECT_TRUE(discovery.on_beacon("10.0.0.6", encode_beacon(beacon_of(61, 61)), now + 1s));
}

TEST_F(Beacons, TellEveryAddressOfAMachine) {
  auto discovery = make(1);
  ASSERT_TRUE(discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 7)), now));
  ASSERT_TRUE(discovery.on_beacon("fe80::2%eth1", encode_beacon(beacon_of(2, 7)), now));
  ASSERT_TRUE(discovery.on_beacon("10.0.0.3", encode_beacon(beacon_of(3, 8)), now));
  std::vector<std::string> hosts;
  for (const PeerAddress& address : discovery.addresses_of(id(2))) hosts.push_back(address.host);
  EXPECT_THAT(hosts, testing::UnorderedElementsAre("10.0.0.2", "fe80::2%eth1"));
}

TEST_F(Beacons, CopiesOfOneWaveAreAnsweredOnce) {
  auto discovery = make(1);
  EXPECT_TRUE(discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 7, 3)), now)->answer);
  EXPECT_FALSE(discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 7, 3)), now)->answer);
  EXPECT_TRUE(discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 7, 4)), now)->answer);
  discovery.on_joined(id(2));
  EXPECT_FALSE(discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 7, 5)), now)->answer);
  EXPECT_TRUE(discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 8, 1)), now)->answer);  // restarted
}

TEST_F(Beacons, AFloodOfForgedHintsNeverPushesOutWhatWasAskedFor) {
  auto discovery = make(1);
  const PeerAddress asked{"studio.local", 52414};
  discovery.add_asked(asked, now);
  for (int i = 0; i < 2000; ++i) {
    auto beacon = beacon_of(2, static_cast<std::uint64_t>(i) + 10000);
    beacon.node = random_node_id();
    discovery.on_beacon(std::format("10.0.{}.{}", i / 250, i % 250), encode_beacon(beacon), now);
    now += 10ms;
  }
  const auto due = discovery.take_due_dials(now + 1s);
  EXPECT_LE(due.size(), Discovery::addresses_max);
  EXPECT_THAT(due, testing::Contains(asked));
}

// A forger knows the id of a machine that has joined: its own beacons carry it.
TEST_F(Beacons, OneThatNamesAJoinedMachineKeepsNobodyFromWhatWasAskedForOrRemembered) {
  auto discovery = make(1);
  const PeerAddress asked{"10.0.0.5", 52414}, remembered{"10.0.0.6", 52414};
  discovery.on_joined(id(2));
  discovery.add_asked(asked, now);
  discovery.add_remembered(remembered, now);
  for (const auto& address : {asked, remembered})
    ASSERT_TRUE(discovery.on_beacon(address.host, encode_beacon(beacon_of(2, 7)), now));
  EXPECT_THAT(discovery.take_due_dials(now + 1s), testing::UnorderedElementsAre(asked, remembered));
  // Whoever proves there that it is the one that has joined is left in peace, until another is said to be there.
  discovery.on_dial_done(asked, id(2), now + 1s);
  EXPECT_THAT(discovery.take_due_dials(now + 1min), IsEmpty());
  ASSERT_TRUE(discovery.on_beacon(asked.host, encode_beacon(beacon_of(3, 8)), now + 1min));
  discovery.on_joined(id(3));
  EXPECT_THAT(discovery.take_due_dials(now + 2min), ElementsAre(asked));
}

// Times of the dials of one address that never answers, in seconds after the start.
std::vector<double> dials_of(Discovery& discovery, Instant start, std::chrono::seconds time) {
  std::vector<double> out;
  for (auto now = start; now < start + time; now += 50ms) {
    for (const auto& address : discovery.take_due_dials(now)) {
      out.push_back(std::chrono::duration<double>(now - start).count());
      discovery.on_dial_failed(address, now);
    }
  }
  return out;
}

TEST_F(Beacons, DialsBackOffFromAQuarterSecondToFive) {
  auto discovery = make(1);
  discovery.add_remembered({"10.0.0.5", 52414}, now);
  EXPECT_THAT(dials_of(discovery, now, 20s), ElementsAre(0, 0.25, 0.75, 1.75, 3.75, 7.75, 12.75, 17.75));
  auto asked = make(1);
  asked.add_asked({"10.0.0.5", 52414}, now);
  EXPECT_THAT(dials_of(asked, now, 20s), ElementsAre(0, 0.25, 0.75, 1.75, 3.75, 7.75, 12.75, 17.75));
}

TEST_F(Beacons, JoinedNodesAreNotDialledUntilTheyAreLost) {
  auto discovery = make(1);
  const PeerAddress address{"10.0.0.2", 52414};
  discovery.add_asked(address, now);
  EXPECT_THAT(discovery.take_due_dials(now), ElementsAre(address));
  discovery.on_dial_done(address, id(2), now);
  discovery.on_joined(id(2));
  EXPECT_THAT(discovery.take_due_dials(now + 1h), IsEmpty());
  discovery.on_left(id(2), now + 1h);
  EXPECT_THAT(discovery.take_due_dials(now + 1h + 250ms), ElementsAre(address));
}

// A beacon of before it left must not read as a firewall that lets beacons through and connections not.
TEST_F(Beacons, OfAMachineThatLeftAreOldUntilItIsHeardAgain) {
  auto discovery = make(1);
  const PeerAddress address{"10.0.0.2", 52414};
  discovery.on_beacon(address.host, encode_beacon(beacon_of(2, 7)), now);
  discovery.on_dial_done(address, id(2), now);
  discovery.on_joined(id(2));
  EXPECT_EQ(discovery.known_at(address)->name, "other");
  discovery.on_left(id(2), now);
  EXPECT_EQ(discovery.known_at(address)->name, "");
  discovery.on_beacon(address.host, encode_beacon(beacon_of(2, 7, 2)), now + 1s);
  EXPECT_EQ(discovery.known_at(address)->name, "other");
}

TEST_F(Beacons, AnAddressAskedForThatIsNotThereIsWorthAWordOnce) {
  auto discovery = make(1);
  const PeerAddress asked{"10.0.0.5", 52414}, remembered{"10.0.0.6", 52414};
  discovery.add_asked(asked, now);
  discovery.add_remembered(remembered, now);
  int words = 0;
  for (int i = 0; i < 20; ++i, now += 10s)
    for (const auto& address : discovery.take_due_dials(now)) words += discovery.on_dial_failed(address, now);
  EXPECT_EQ(words, 1);
}

TEST_F(Beacons, OneMachineIsDialledByOneAddressAtATime) {
  auto discovery = make(1);
  discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 7, 1)), now);
  discovery.on_beacon("fe80::2%eth0", encode_beacon(beacon_of(2, 7, 1)), now);
  const auto first = discovery.take_due_dials(now);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_THAT(discovery.take_due_dials(now), IsEmpty());
  discovery.on_dial_failed(first[0], now);
  const auto second = discovery.take_due_dials(now);  // the other way, at once
  ASSERT_EQ(second.size(), 1u);
  EXPECT_NE(second[0], first[0]);
}

TEST_F(Beacons, ARefusalRestsUntilTheOtherStartsAnew) {
  auto discovery = make(1);
  const PeerAddress address{"10.0.0.2", 52414};
  discovery.on_beacon(address.host, encode_beacon(beacon_of(2, 7)), now);
  EXPECT_EQ(discovery.take_due_dials(now).size(), 1u);
  discovery.on_dial_refused(address, id(2), now);
  discovery.on_beacon(address.host, encode_beacon(beacon_of(2, 7, 2)), now + 1s);
  EXPECT_THAT(discovery.take_due_dials(now + 5s), IsEmpty());
  discovery.on_beacon(address.host, encode_beacon(beacon_of(2, 8)), now + 6s);  // a new instance
  EXPECT_EQ(discovery.take_due_dials(now + 6s).size(), 1u);
}

TEST_F(Beacons, AddressesHeardOnceAreForgottenAfterAMinute) {
  auto discovery = make(1);
  discovery.on_beacon("10.0.0.2", encode_beacon(beacon_of(2, 7)), now);
  EXPECT_TRUE(discovery.known_at({"10.0.0.2", 52414}));
  EXPECT_THAT(discovery.take_due_dials(now + 61s), IsEmpty());
  EXPECT_FALSE(discovery.known_at({"10.0.0.2", 52414}));
}

TEST(Address, ReadsBackAsItWasWritten) {
  for (const char* text : {"192.168.1.7:52414", "[fe80::1%eth0]:9", "studio.local:1", "[::1]:65535"})
    EXPECT_EQ(to_string(parse_address(text, 5).value()), text);
  EXPECT_EQ(parse_address("studio", 5)->port, 5);
  EXPECT_EQ(parse_address("fe80::1%eth0", 5)->host, "fe80::1%eth0");
  for (const char* text : {"", ":5", "a:", "a:0", "a:65536", "a:-1", "a:5x", "[::1", "[::1]5", "a b:5", "a\n:5"})
    EXPECT_FALSE(parse_address(text, 5)) << text;
}

TEST(PeersFile, SurvivesARestartAndSkipsNonsense) {
  const auto folder = std::filesystem::temp_directory_path() / std::format("flotilla-peers-{}", random_u64());
  std::filesystem::create_directory(folder);
  const auto path = folder / "peers";
  EXPECT_THAT(read_peers_file(path), IsEmpty());
  std::vector<PeerAddress> peers;
  for (std::uint16_t i = 1; i <= 100; ++i) peers.push_back({"10.0.0.1", i});
  ASSERT_TRUE(write_peers_file(path, peers));
  const auto read = read_peers_file(path);
  EXPECT_EQ(read.size(), remembered_peers_max);
  EXPECT_EQ(read.front(), peers.front());
  std::ofstream(path) << "nonsense here\n[fe80::1%eth0]:7\n" << std::string(100000, 'x');
  EXPECT_THAT(read_peers_file(path), ElementsAre(PeerAddress{"fe80::1%eth0", 7}));
  EXPECT_FALSE(write_peers_file(folder / "missing" / "peers", peers));
  std::filesystem::remove_all(folder);
}

SystemAddress on(const std::string& name, const std::string& address) {
  return {.address = {.interface = name, .index = 3, .address = address, .broadcast = "", .v6 = false}, .up = true};
}

TEST(Interfaces, OnlyRealOnesCount) {
  auto down = on("eth1", "10.1.0.1");
  down.up = false;
  auto loopback = on("lo", "127.0.0.1");
  loopback.loopback = true;
  auto tunnel = on("ppp0", "10.9.0.1");
  tunnel.point_to_point = true;
  const auto chosen =
      choose_real({loopback, on("docker0", "172.17.0.1"), on("br-5e2a", "172.18.0.1"), on("veth12", "10.7.0.1"),
                   on("tailscale0", "100.64.0.1"), tunnel, down, on("wlan0", "192.168.1.7"), on("br0", "192.168.2.1")});
  ASSERT_EQ(chosen.size(), 2u);
  EXPECT_EQ(chosen[0].interface, "wlan0");
  EXPECT_EQ(chosen[1].interface, "br0");
}

TEST(Interfaces, TheVethOfANamespaceIsItsCable) {
  const auto chosen = choose_real({on("veth-a", "10.0.0.1"), on("docker0", "172.17.0.1")});
  ASSERT_EQ(chosen.size(), 1u);
  EXPECT_EQ(chosen[0].interface, "veth-a");
}

TEST(Complaints, AboutOneSubjectComeOnceInAWhile) {
  Complaints complaints;
  const Instant now = Instant() + 1h;
  EXPECT_TRUE(complaints.may_speak_of("a", now));
  EXPECT_FALSE(complaints.may_speak_of("a", now + 9s));
  EXPECT_TRUE(complaints.may_speak_of("b", now + 9s));
  EXPECT_TRUE(complaints.may_speak_of("a", now + 10s));
  int spoken = 0;
  for (int i = 0; i < 1000; ++i) spoken += complaints.may_speak_of(std::to_string(i), now + 30s);
  EXPECT_EQ(spoken, 64);
}

}  // namespace
}  // namespace flotilla
