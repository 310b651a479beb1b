// Claims about what a doctor finds, each on facts told by the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/checkup.h"
#include "app/fleet_checks.h"
#include "app/machine_checks.h"
#include "app/network_checks.h"
#include "app/power.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

NodeId id_of(std::uint8_t number) {
  NodeId id;
  id.bytes.front() = number;
  return id;
}

Member member(const std::string& name, std::uint8_t number, MemberState state, const std::string& reason = "") {
  Member out{.info = {}, .state = state, .reason = reason, .host = state == MemberState::self ? "" : "192.168.1.9"};
  out.info.id = id_of(number);
  out.info.name = name;
  out.info.version = "0.1.0";
  out.info.cluster_port = 52414;
  return out;
}

FleetFacts harbour_and(std::vector<Member> others) {
  FleetFacts facts{.view = {}, .peers = {}, .reached = {}, .others = {}, .away = {}};
  facts.view.members = {member("harbour", 1, MemberState::self)};
  for (Member& other : others) facts.view.members.push_back(std::move(other));
  return facts;
}

const WallTime noon = WallTime(std::chrono::sys_days(std::chrono::year(2026) / 5 / 1)) + 12h;

// --- The fleet ---

TEST(Doctor, AMachineThatSeesNobodyIsToldHowToFindOthers) {
  const Findings found = check_peers(harbour_and({}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].health, Health::warn);
  EXPECT_THAT(found[0].to_do, HasSubstr("--peer"));
}

TEST(Doctor, WhoeverIsSeenAndNotJoinedIsSaidWithWhyAndWhatToDo) {
  const Findings found = check_peers(harbour_and(
      {member("island", 2, MemberState::seen, "harbour and island belong to no cluster; let one in by the other")}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].health, Health::bad) << "they do not find each other, and nothing else works";
  EXPECT_THAT(found[0].found, HasSubstr("island at 192.168.1.9 is seen, not joined: harbour and island belong to no"));
  EXPECT_EQ(found[0].to_do, "let one in by the other");
}

TEST(Doctor, AnotherClusterBesideOnesOwnIsNoTrouble) {
  const Findings found = check_peers(harbour_and(
      {member("island", 2, MemberState::joined), member("attic", 3, MemberState::seen, "of another cluster")}));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(worst(found), Health::warn);
}

TEST(Doctor, AMemberThatCannotBeDialledIsBadEvenWhereItIsJoined) {
  FleetFacts facts = harbour_and({member("island", 2, MemberState::joined)});
  facts.reached[id_of(2)] = {.address = {"192.168.1.9", 52414}, .answered_in = 400us, .why = ""};
  EXPECT_THAT(check_peers(facts)[0].found, HasSubstr("192.168.1.9:52414 answers in 0.4 ms"));
  facts.reached[id_of(2)] = {.address = {"192.168.1.9", 52414}, .answered_in = {}, .why = "no answer in time"};
  const Findings found = check_peers(facts);
  EXPECT_EQ(found[0].health, Health::bad);
  EXPECT_THAT(found[0].to_do, HasSubstr("firewall on island"));
}

TEST(Doctor, MembersThatAreAwayAndAddressesThatAreSilentAreSaid) {
  FleetFacts facts = harbour_and({});
  facts.away = {"attic"};
  facts.others = {{.address = {"10.0.0.7", 52414}, .answered_in = {}, .why = "no answer from 10.0.0.7:52414 in time"}};
  const Findings found = check_peers(facts);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_THAT(found[0].found, HasSubstr("attic is a member and is not here"));
  EXPECT_THAT(found[1].found, HasSubstr("no answer from 10.0.0.7:52414"));
}

TEST(Doctor, OtherVersionsAreSaidOfBothMachinesAndWhichToUpdate) {
  FleetFacts facts =
      harbour_and({member("island", 2, MemberState::joined), member("attic", 3, MemberState::seen, "x")});
  facts.view.members[2].info.version = "0.3.0";
  facts.peers[id_of(3)] = {.version = protocol_version + 1, .clock_ahead = {}};
  const Finding newer = check_versions(facts);
  EXPECT_EQ(newer.health, Health::bad);
  EXPECT_THAT(
      newer.found,
      AllOf(HasSubstr(std::format("harbour runs flotilla 0.1.0, protocol version {}, as island", protocol_version)),
            HasSubstr(std::format("attic runs flotilla 0.3.0, protocol version {}", protocol_version + 1))));
  EXPECT_THAT(newer.to_do, HasSubstr("update flotilla on harbour"));
  facts.peers[id_of(3)].version = 1;
  EXPECT_THAT(check_versions(facts).to_do, HasSubstr("update flotilla on attic"));
}

TEST(Doctor, AnotherReleaseOfTheSameProtocolIsWorthAWord) {
  FleetFacts facts = harbour_and({member("island", 2, MemberState::joined)});
  EXPECT_EQ(check_versions(facts).health, Health::ok);
  facts.view.members[1].info.version = "0.0.9";
  EXPECT_EQ(check_versions(facts).health, Health::warn);
}

TEST(Doctor, ClocksAreComparedWithTheOthers) {
  FleetFacts facts = harbour_and({member("island", 2, MemberState::joined)});
  EXPECT_THAT(check_clocks(facts), IsEmpty()) << "an older release does not tell its time";
  facts.peers[id_of(2)] = {.version = protocol_version, .clock_ahead = 3s};
  EXPECT_EQ(worst(check_clocks(facts)), Health::ok);
  facts.peers[id_of(2)].clock_ahead = -5min;
  EXPECT_EQ(worst(check_clocks(facts)), Health::warn);
  EXPECT_THAT(check_clocks(facts)[0].found, HasSubstr("island's is 5 min behind"));
  facts.peers[id_of(2)].clock_ahead = 11min;
  EXPECT_EQ(worst(check_clocks(facts)), Health::bad);
}

TEST(Doctor, TrustIsToldWithItsEnd) {
  EXPECT_THAT(check_trust({.ends = {}, .join_trouble = {}}, noon).found, HasSubstr("member of no cluster"));
  TrustFacts facts{.is_member = true, .ends = noon + std::chrono::days(20), .join_trouble = {}};
  EXPECT_THAT(check_trust(facts, noon).found, HasSubstr("until 2026-05-21"));
  facts.wants_renewal = true;
  EXPECT_EQ(check_trust(facts, noon).health, Health::warn);
  facts.signer_is_here = true;
  EXPECT_EQ(check_trust(facts, noon).health, Health::ok);
  EXPECT_EQ(check_trust(facts, noon + std::chrono::days(21)).health, Health::bad);
}

TEST(Doctor, ATokenThatDidNotLetInIsSaid) {
  const Finding found = check_trust({.ends = {}, .join_trouble = "the token has ended"}, noon);
  EXPECT_EQ(found.health, Health::bad);
  EXPECT_THAT(found.found, HasSubstr("the token has ended"));
}

// --- The machine ---

TEST(Doctor, AHomeThatCannotBeWrittenIsBad) {
  EXPECT_EQ(check_disk(testing::TempDir()).health == Health::bad, false);
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "doctor-file";
  std::ofstream(file) << "x";
  const Finding found = check_disk(file / "home");
  EXPECT_EQ(found.health, Health::bad);
  EXPECT_THAT(found.to_do, HasSubstr("--home"));
  std::filesystem::remove(file);
}

TEST(Doctor, AFirewallThatDropsByDefaultIsKnownByWhatItPrints) {
  EXPECT_TRUE(
      drops_by_default("table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy "
                       "drop;\n"));
  EXPECT_TRUE(drops_by_default("-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n"));
  EXPECT_FALSE(drops_by_default("type filter hook forward priority filter; policy drop;\n-P INPUT ACCEPT\n"));
  EXPECT_FALSE(drops_by_default(""));
}

// --- What is drawn ---

TEST(Checkup, SurvivesItsJson) {
  const Checkup checkup{.name = "harbour",
                        .release = "0.1.0",
                        .protocol = 2,
                        .is_running = true,
                        .findings = {{"ports", Health::ok, "fine", ""}, {"peer", Health::bad, "silent", "start it"}}};
  const nlohmann::json body = checkup_json(checkup);
  EXPECT_EQ(body["health"], "bad");
  const Checkup back = checkup_from_json(body);
  EXPECT_EQ(draw(back), draw(checkup));
  EXPECT_TRUE(back.is_running);
}

TEST(Checkup, SaysWhatToDoAndHowMuchOfItMustBeDone) {
  const std::string text = draw(
      {.name = "harbour",
       .release = "0.1.0",
       .protocol = 2,
       .is_running = true,
       .findings = {{"ports", Health::ok, "fine", "nothing"}, {"peer", Health::bad, "silent\x1b[2J", "start it"}}});
  EXPECT_EQ(text,
            "harbour: flotilla 0.1.0, protocol version 2\n\n"
            "ok    ports  fine\n"
            "bad   peer   silent?[2J\n"
            "             → start it\n\n"
            "One thing must be done.\n");
}

TEST(Checkup, NonsenseIsReadAsNothing) {
  for (const char* text : {"{}", "[]", "7", R"({"checks": [3, {}], "running": "yes"})"})
    EXPECT_THAT(draw(checkup_from_json(nlohmann::json::parse(text))), Not(IsEmpty()));
}

}  // namespace
}  // namespace flotilla
