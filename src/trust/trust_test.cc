// Claims about keys' names, certificates, tokens, codes and lists: what is refused, and with which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "trust/certificate.h"
#include "trust/checked_text.h"
#include "trust/copy_watch.h"
#include "trust/join_token.h"
#include "trust/pairing_budget.h"
#include "trust/pairing_code.h"
#include "trust/revocations.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr WallTime today{std::chrono::sys_days(std::chrono::year(2026) / 11 / 26)};

std::array<std::byte, 32> bytes_from(std::uint32_t seed) {
  std::mt19937 dice(seed);
  std::array<std::byte, 32> bytes;
  for (auto& byte : bytes) byte = static_cast<std::byte>(dice());
  return bytes;
}

TEST(CheckedText, ReadsBackWhateverWasWritten) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const auto bytes = bytes_from(seed);
    const std::string text = in_groups(to_checked_text(bytes));
    EXPECT_EQ(text.size(), 63u);
    EXPECT_EQ(from_checked_text(text, "it").value(), bytes);
  }
}

TEST(CheckedText, ReadsWhatPeopleMakeOfIt) {
  const auto bytes = bytes_from(1);
  std::string text = to_checked_text(bytes);
  for (char& c : text) c = c == 'O' ? '0' : c == 'I' ? '1' : c == 'B' ? '8' : static_cast<char>(std::tolower(c));
  EXPECT_EQ(from_checked_text("  " + text + " - ", "it").value(), bytes);
}

TEST(CheckedText, FindsEverySingleWrongLetter) {
  const std::string text = to_checked_text(bytes_from(2));
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char other : std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")) {
      if (other == text[at]) continue;
      std::string wrong = text;
      wrong[at] = other;
      EXPECT_FALSE(from_checked_text(wrong, "it")) << at << other;
    }
  }
}

TEST(CheckedText, SaysWhatIsWrong) {
  EXPECT_THAT(from_checked_text("ABC", "a device's id").error().message, HasSubstr("56 letters but got 3"));
  EXPECT_THAT(from_checked_text(std::string(56, '!'), "it").error().message, HasSubstr("digits 2 to 7"));
  std::string text = to_checked_text(bytes_from(3));
  std::swap(text[15], text[20]);
  EXPECT_THAT(from_checked_text(text, "it").error().message, HasSubstr("letters 15 to 28 are mistyped"));
}

TEST(DeviceId, BelongsToOneKeyAndBeginsItsNodeId) {
  const auto key = SigningKey::generate(), other = SigningKey::generate();
  EXPECT_NE(key.id(), other.id());
  EXPECT_EQ(SigningKey::from_pem(key.to_pem())->id(), key.id());
  EXPECT_EQ(device_id_from_string(to_string(key.id())).value(), key.id());
  EXPECT_EQ(std::to_integer<int>(key.id().bytes[15]), node_id_of(key.id()).bytes[15]);
}

TEST(SigningKey, OnlyItsOwnSignatureOfTheSameBytesCounts) {
  const auto key = SigningKey::generate(), other = SigningKey::generate();
  const auto signature = key.sign(bytes_of("these"));
  EXPECT_TRUE(key.public_key().verify(bytes_of("these"), signature));
  EXPECT_FALSE(key.public_key().verify(bytes_of("those"), signature));
  EXPECT_FALSE(other.public_key().verify(bytes_of("these"), signature));
  EXPECT_FALSE(SigningKey::from_pem("nonsense"));
}

// --- Certificates ---
struct TwoClusters {
  SigningKey cluster = SigningKey::generate(), other = SigningKey::generate(), device = SigningKey::generate();
  Certificate member = Certificate::of_member(cluster, device.public_key(), today);
};

TEST(Certificate, OfTheClusterIsBelievedForThirtyDays) {
  const TwoClusters two;
  const auto read = Certificate::from_der(two.member.der()).value();
  EXPECT_EQ(read.id(), two.device.id());
  EXPECT_TRUE(check_membership(read, two.cluster.public_key(), "attic", today));
  EXPECT_TRUE(check_membership(read, two.cluster.public_key(), "attic", today + std::chrono::days(29)));
  const auto ended = check_membership(read, two.cluster.public_key(), "attic", today + std::chrono::days(30));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::unauthorized);
  EXPECT_THAT(ended.error().message, HasSubstr("the membership of attic ended at 2026-12-26 00:00 UTC"));
}

TEST(Certificate, IsRenewedAtHalfItsLife) {
  const TwoClusters two;
  EXPECT_FALSE(wants_renewal(two.member, today + std::chrono::days(14)));
  EXPECT_TRUE(wants_renewal(two.member, today + std::chrono::days(15)));
}

TEST(Certificate, OfAnotherClusterIsRefused) {
  const TwoClusters two;
  const auto refused = check_membership(two.member, two.other.public_key(), "attic", today);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("attic belongs to another cluster"));
}

TEST(Certificate, OfADeviceAloneOrOfTheClusterItselfMakesNoMember) {
  const TwoClusters two;
  const auto alone =
      check_membership(Certificate::of_device(two.device, today), two.cluster.public_key(), "attic", today);
  ASSERT_FALSE(alone);
  EXPECT_THAT(alone.error().message, HasSubstr("attic belongs to no cluster; let it in with a token"));
  EXPECT_FALSE(check_membership(Certificate::of_cluster(two.cluster, today), two.cluster.public_key(), "x", today));
}

TEST(Certificate, BeforeItsTimeBlamesTheClocks) {
  const TwoClusters two;
  EXPECT_TRUE(check_membership(two.member, two.cluster.public_key(), "attic", today - 9min));
  const auto early = check_membership(two.member, two.cluster.public_key(), "attic", today - 1h);
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message, HasSubstr("set the clocks right"));
}

TEST(Certificate, AnyFlippedBitIsNoticed) {
  const TwoClusters two;
  const Bytes der = two.member.der();
  EXPECT_LT(der.size(), 1000u);
  for (std::size_t at = 0; at < der.size(); ++at) {
    Bytes broken = der;
    broken[at] ^= std::byte{4};
    const auto read = Certificate::from_der(broken);
    EXPECT_FALSE(read && check_membership(*read, two.cluster.public_key(), "attic", today)) << at;
  }
  EXPECT_FALSE(Certificate::from_der(std::span(der).first(der.size() - 1)));
  EXPECT_FALSE(Certificate::from_der({}));
}

// --- Tokens ---
struct Tokens : testing::Test {
  const DeviceId cluster{bytes_from(10)}, newcomer{bytes_from(11)}, second{bytes_from(12)};
  const Digest here = bytes_from(13), elsewhere = bytes_from(14);
  TokenBook book;

  JoinToken make(std::uint32_t uses = 1) { return book.create(cluster, 1h, uses, today).value(); }
  Status redeem(const JoinToken& token, const DeviceId& device, WallTime when = today) {
    return book.redeem(token.prove(here, device), here, {device}, when);
  }
};

TEST_F(Tokens, ReadBackFromTheirTextAndNameTheirCluster) {
  const auto token = make();
  const auto read = JoinToken::parse(token.text()).value();
  EXPECT_THAT(token.text(), testing::StartsWith("flt1-"));
  EXPECT_EQ(read.text(), token.text());
  EXPECT_TRUE(read.names(cluster));
  EXPECT_FALSE(read.names(newcomer));
  EXPECT_TRUE(redeem(read, newcomer));
}

TEST_F(Tokens, OfAnotherKindOfTextSayWhatAToken) {
  EXPECT_THAT(JoinToken::parse("hunter2").error().message, HasSubstr("flotilla token create"));
  EXPECT_THAT(JoinToken::parse("flt1-ABC").error().message, HasSubstr("a join token of 56 letters"));
}

TEST_F(Tokens, LetInAsManyAsTheyWereMadeForAndEachOnlyOnce) {
  const auto token = make();
  EXPECT_TRUE(redeem(token, newcomer));
  EXPECT_TRUE(redeem(token, newcomer)) << "its answer may have been lost";
  const auto reused = redeem(token, second);
  ASSERT_FALSE(reused);
  EXPECT_EQ(reused.error().code, Code::unauthorized);
  EXPECT_THAT(reused.error().message, HasSubstr("has let in the 1 machine it was made for"));
}

TEST_F(Tokens, EndWhenTheirTimeIsOver) {
  const auto token = make();
  EXPECT_TRUE(redeem(token, newcomer, today + 59min));
  const auto late = redeem(token, newcomer, today + 1h);
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message, HasSubstr("this token ended at 2026-11-26 01:00 UTC"));
}

TEST_F(Tokens, ThatWereGuessedAreRefusedWithoutSayingWhy) {
  const auto token = make();
  const auto guessed = redeem(JoinToken::generate(cluster), newcomer);
  ASSERT_FALSE(guessed);
  auto almost = token.prove(here, newcomer);
  almost.proof[0] ^= std::byte{1};
  const auto tampered = book.redeem(almost, here, {newcomer}, today);
  ASSERT_FALSE(tampered);
  EXPECT_EQ(guessed.error().message, tampered.error().message);
}

TEST_F(Tokens, ProveForOneConnectionAndOneMachineOnly) {
  const auto token = make();
  const auto proof = token.prove(here, newcomer);
  EXPECT_FALSE(book.redeem(proof, elsewhere, {newcomer}, today)) << "relayed";
  EXPECT_FALSE(book.redeem(proof, here, {second}, today)) << "for another machine";
  EXPECT_TRUE(book.redeem(proof, here, {newcomer}, today));
}

TEST_F(Tokens, AreKeptWithoutTheirSecret) {
  const auto token = make(2);
  ASSERT_TRUE(redeem(token, newcomer));
  const std::string kept = book.to_json().dump();
  book = TokenBook::from_json(nlohmann::json::parse(kept)).value();
  EXPECT_TRUE(redeem(token, second));
  EXPECT_FALSE(redeem(token, cluster));
  EXPECT_THAT(kept, testing::Not(HasSubstr(token.text().substr(40, 14))));
}

TEST_F(Tokens, InABrokenFileAreCorruptAndNothingWorse) {
  make();
  const auto whole = book.to_json();
  for (const char* field : {"token", "key", "ends", "uses", "users"}) {
    for (const nlohmann::json& wrong :
         {nlohmann::json(), nlohmann::json("x"), nlohmann::json(-1), nlohmann::json::array({1})}) {
      auto broken = whole;
      broken[0][field] = wrong;
      const auto read = TokenBook::from_json(broken);
      EXPECT_TRUE(read || read.error().code == Code::corrupt);
    }
  }
  for (const std::int64_t ends : {INT64_MAX, INT64_MIN}) {
    auto broken = whole;
    broken[0]["ends"] = ends;
    EXPECT_FALSE(TokenBook::from_json(broken)) << "a time that cannot be added to";
  }
  EXPECT_FALSE(TokenBook::from_json("text"));
  EXPECT_FALSE(TokenBook::from_json({{"a", 1}}));
}

TEST_F(Tokens, HaveBoundsOfTimeNumberAndUses) {
  EXPECT_FALSE(book.create(cluster, 1s, 1, today));
  EXPECT_FALSE(book.create(cluster, std::chrono::days(31), 1, today));
  EXPECT_FALSE(book.create(cluster, 1h, 0, today));
  for (std::size_t i = 0; i < TokenBook::tokens_max; ++i) make();
  EXPECT_EQ(book.create(cluster, 1h, 1, today).error().code, Code::busy);
  EXPECT_TRUE(book.create(cluster, 1h, 1, today + std::chrono::days(2))) << "those that ended make room";
}

TEST_F(Tokens, DoNotLetInAgainWhomTheyLetInBeforeItWasPutOut) {
  const auto token = make(5);
  ASSERT_TRUE(redeem(token, newcomer));
  const auto again = book.redeem(token.prove(here, newcomer), here, {newcomer, true}, today);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::unauthorized);
  EXPECT_THAT(again.error().message, HasSubstr("was put out of the cluster after this token had let it in"));
  EXPECT_TRUE(book.redeem(token.prove(here, second), here, {second, true}, today)) << "a token that is new to it";
}

TEST_F(Tokens, EndWithTheMachineThatUsedOrMadeThem) {
  const auto used = make(5), other = make(5);
  const auto made = book.create(cluster, 1h, 5, today, node_id_of(newcomer)).value();
  ASSERT_TRUE(redeem(used, newcomer));
  book.end_those_of(newcomer, today);
  EXPECT_THAT(redeem(used, second).error().message, HasSubstr("this token ended at"));
  EXPECT_FALSE(redeem(made, second));
  EXPECT_TRUE(redeem(other, second));
}

TEST_F(Tokens, AreListedWhileTheyLetInAndEndedByTheirName) {
  const auto one = make(), used_up = make();
  const auto made = book.create(cluster, 2h, 5, today, node_id_of(second)).value();
  ASSERT_TRUE(redeem(used_up, newcomer));
  ASSERT_TRUE(redeem(made, newcomer));
  book = TokenBook::from_json(book.to_json()).value();
  const auto list = book.list(today + 1h);
  ASSERT_EQ(list.size(), 1u) << "one has ended, one is used up";
  EXPECT_EQ(list[0].token, made.prove(here, second).token);
  EXPECT_EQ(list[0].ends, today + 2h);
  EXPECT_EQ(list[0].uses, 5u);
  EXPECT_EQ(list[0].used, 1u);
  EXPECT_EQ(list[0].maker, node_id_of(second));
  EXPECT_TRUE(book.end(list[0].token, today));
  EXPECT_FALSE(book.end(list[0].token, today)) << "it has";
  EXPECT_FALSE(redeem(made, second));
  EXPECT_TRUE(redeem(one, second));
}

// --- Codes ---
TEST(PairingBudget, WhoHangsUpAThousandTimesASecondGetsTwentyFiveCodesInTenMinutes) {
  PairingBudget budget;
  const PairingBudget::Instant begin{std::chrono::hours(1)};
  int at_once = 0, all = 0;
  for (int i = 0; i < 1000; ++i) at_once += budget.take(begin);
  EXPECT_EQ(at_once, PairingBudget::at_once);
  for (auto at = begin; at <= begin + PairingBudget::code_time_max; at += 100ms) all += budget.take(at);
  EXPECT_EQ(at_once + all, 25);
}

TEST(PairingBudget, IsWholeAgainAfterAQuietTimeAndNeverMoreThanWhole) {
  PairingBudget budget;
  const PairingBudget::Instant begin{std::chrono::hours(1)};
  for (const auto at : {begin, begin + 24h}) {
    int taken = 0;
    while (budget.take(at)) ++taken;
    EXPECT_EQ(taken, PairingBudget::at_once);
  }
}

TEST(PairingCode, IsOneForBothSidesAndAnotherForEveryoneElse) {
  const PairingSides sides{.exporter = bytes_from(20),
                           .newcomer = {bytes_from(21)},
                           .member = {bytes_from(22)},
                           .newcomer_nonce = bytes_from(23),
                           .member_nonce = bytes_from(24)};
  const std::string code = pairing_code(sides);
  EXPECT_THAT(code, testing::MatchesRegex("[0-9]{6}"));
  EXPECT_EQ(pairing_code(sides), code);
  std::set<std::string> others;
  for (int which = 0; which < 5; ++which) {
    auto changed = sides;
    auto& field = which == 0   ? changed.exporter
                  : which == 1 ? changed.newcomer.bytes
                  : which == 2 ? changed.member.bytes
                  : which == 3 ? changed.newcomer_nonce
                               : changed.member_nonce;
    field[0] ^= std::byte{1};
    others.insert(pairing_code(changed));
  }
  EXPECT_FALSE(others.contains(code));
  EXPECT_GE(others.size(), 4u);
  EXPECT_NE(commitment_to(sides.newcomer_nonce), commitment_to(sides.member_nonce));
}

// --- Machines put out ---
TEST(RevocationList, NamesWhoWasPutOutAndGrowsByNumber) {
  const auto cluster = SigningKey::generate();
  const DeviceId a{bytes_from(30)}, b{bytes_from(31)};
  const auto one = RevocationList().with(a, cluster).value(),
             two = one.with(b, cluster).value().with(a, cluster).value();
  const auto read = RevocationList::decode(two.encoded(), cluster.public_key()).value();
  EXPECT_EQ(read.number(), 3u);
  EXPECT_EQ(read.devices().size(), 2u);
  EXPECT_TRUE(read.contains(a) && read.contains(b));
  const auto back = read.without(a, cluster);
  EXPECT_FALSE(back.contains(a));
  EXPECT_GT(back.number(), read.number());
}

TEST(RevocationList, OfAnotherClusterOrChangedOnTheWayIsIgnored) {
  const auto cluster = SigningKey::generate(), other = SigningKey::generate();
  const auto list = RevocationList().with({bytes_from(32)}, cluster).value();
  EXPECT_EQ(RevocationList::decode(list.encoded(), other.public_key()).error().code, Code::unauthorized);
  for (std::size_t at = 0; at < list.encoded().size(); ++at) {
    Bytes broken = list.encoded();
    broken[at] ^= std::byte{1};
    EXPECT_FALSE(RevocationList::decode(broken, cluster.public_key())) << at;
  }
  EXPECT_FALSE(RevocationList::decode({}, cluster.public_key()));
}

TEST(RevocationList, ThatIsFullRefusesOneMoreAndDropsNobody) {
  const auto cluster = SigningKey::generate();
  RevocationList list;
  const auto device = [](std::uint32_t number) {
    DeviceId id;
    id.bytes[0] = static_cast<std::byte>(number >> 8);
    id.bytes[1] = static_cast<std::byte>(number);
    return id;
  };
  for (std::uint32_t i = 1; i <= RevocationList::devices_max; ++i) list = list.with(device(i), cluster).value();
  const auto refused = list.with(device(0), cluster);  // the lowest of all
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::too_large);
  EXPECT_TRUE(list.with(device(1), cluster)) << "on it already";
  EXPECT_TRUE(RevocationList::decode(list.encoded(), cluster.public_key()));
}

// --- Copied homes ---
TEST(CopyWatch, SeesAnEarlierProcessAtAnotherAddressAsACopiedHome) {
  CopyWatch watch;
  const NodeId node = random_node_id();
  EXPECT_FALSE(watch.on_seen(node, "studio", 100, "192.168.1.7"));
  EXPECT_FALSE(watch.on_seen(node, "studio", 200, "192.168.1.9")) << "restarted with another address";
  const auto copied = watch.on_seen(node, "studio", 100, "192.168.1.7");
  ASSERT_TRUE(copied);
  EXPECT_THAT(*copied, HasSubstr("studio at 192.168.1.9 and at 192.168.1.7: a home folder was copied"));
  EXPECT_FALSE(watch.on_seen(node, "studio", 100, "192.168.1.7")) << "once is enough";
}

TEST(CopyWatch, SaysNothingOfRestartsAndLateFrames) {
  CopyWatch watch;
  const NodeId node = random_node_id();
  for (const std::uint64_t incarnation : {100, 200, 300, 300, 200})
    EXPECT_FALSE(watch.on_seen(node, "studio", incarnation, "192.168.1.7")) << incarnation;
}

}  // namespace
}  // namespace flotilla
