// Claims about what a machine can prove and whom it believes, and about the files in which it keeps that.
#include "trust/standing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;

WallTime now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

class StandingTest : public testing::Test {
 protected:
  StandingTest() {
    std::string pattern = (fs::temp_directory_path() / "flotilla-trust-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~StandingTest() override { fs::remove_all(folder_); }

  std::shared_ptr<Standing> open(const std::string& name = "a") {
    auto opened = Standing::open(folder_ / name);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened.value_or(nullptr);
  }
  Error refusal(const std::string& name = "a") { return Standing::open(folder_ / name).error(); }
  mode_t mode_of(const fs::path& file) const {
    struct stat found{};
    ::stat((folder_ / file).c_str(), &found);
    return found.st_mode & 0777;
  }
  void spoil(const fs::path& file, const std::string& text = "spoilt") { std::ofstream(folder_ / file) << text; }
  // `b` becomes a member of the cluster that `a` signs for.
  static Status let_in(Standing& a, Standing& b) {
    FLOTILLA_TRY(const auto admission, a.admit(b.public_key(), true, now()));
    return b.accept(admission, now());
  }
  static Certificate shown_by(const Standing& signer, const Standing& member) {
    return Certificate::from_der(const_cast<Standing&>(signer).admit(member.public_key(), true, now())->member).value();
  }

  fs::path folder_;
};

TEST_F(StandingTest, KeepsItsKeyForItsOwnerAlone) {
  const auto id = open()->device();
  EXPECT_EQ(mode_of("a/device.key"), 0600u);
  EXPECT_EQ(mode_of("a"), 0700u);
  EXPECT_EQ(open()->device(), id);
  EXPECT_NE(open("b")->device(), id);
}

TEST_F(StandingTest, RefusesAKeyThatOthersCanRead) {
  open();
  ::chmod((folder_ / "a/device.key").c_str(), 0640);
  EXPECT_EQ(refusal().code, Code::permission);
  EXPECT_THAT(refusal().message, HasSubstr("chmod 600"));
  fs::rename(folder_ / "a/device.key", folder_ / "key");
  fs::create_symlink(folder_ / "key", folder_ / "a/device.key");
  EXPECT_EQ(refusal().code, Code::corrupt);
}

TEST_F(StandingTest, SaysOfEveryBrokenFileWhatToDo) {
  const auto a = open();
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(a->create_token(1h, 1, now()));
  ASSERT_TRUE(a->revoke(open("b")->device(), now()));
  EXPECT_EQ(mode_of("a/cluster.key"), 0600u);
  EXPECT_EQ(mode_of("a/tokens.json"), 0600u);
  ASSERT_TRUE(open());
  for (const char* name : {"device.key", "membership.pem", "cluster.key", "tokens.json", "revoked.bin"}) {
    fs::copy(folder_ / "a", folder_ / name, fs::copy_options::recursive);
    for (const std::string& text : {std::string(), std::string("spoilt"), std::string(9000, '\xff')}) {
      spoil(fs::path(name) / name, text);
      const auto error = refusal(name);
      EXPECT_EQ(error.code, Code::corrupt) << name;
      EXPECT_THAT(error.message, testing::AllOf(HasSubstr(name), HasSubstr("delete"))) << name;
    }
  }
}

TEST_F(StandingTest, AloneBelongsToNoClusterAndBelievesNobody) {
  const auto a = open(), b = open("b");
  EXPECT_FALSE(a->cluster());
  EXPECT_FALSE(a->may_sign());
  EXPECT_EQ(a->judge(Certificate::of_device(SigningKey::generate(), now()), "b", now()).error().code,
            Code::unauthorized);
  EXPECT_EQ(a->admit(b->public_key(), true, now()).error().code, Code::unavailable);
  EXPECT_EQ(a->create_token(1h, 1, now()).error().code, Code::unavailable);
}

TEST_F(StandingTest, MembersBelieveEachOtherAlsoAfterARestart) {
  const auto a = open(), b = open("b");
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(let_in(*a, *b));
  const auto again = open("b");
  EXPECT_EQ(again->cluster(), a->cluster());
  EXPECT_FALSE(again->may_sign());
  EXPECT_TRUE(again->judge(shown_by(*a, *a), "a", now()));
  EXPECT_TRUE(a->judge(shown_by(*a, *again), "b", now()));
  EXPECT_THAT(again->admit(a->public_key(), true, now()).error().message, HasSubstr("flotilla members"));
}

TEST_F(StandingTest, AMemberOfAnotherClusterIsRefusedAndTakesNoSecondMembership) {
  const auto a = open(), b = open("b");
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(b->found_cluster(now()));
  EXPECT_THAT(a->judge(shown_by(*b, *b), "b", now()).error().message, HasSubstr("another cluster"));
  EXPECT_EQ(let_in(*a, *b).error().code, Code::busy);
  ASSERT_TRUE(b->leave_cluster());
  EXPECT_FALSE(b->may_sign());
  EXPECT_TRUE(let_in(*a, *b));
  EXPECT_EQ(open("b")->cluster(), a->cluster());
}

TEST_F(StandingTest, ACertificateForAnotherMachineIsNotTaken) {
  const auto a = open(), b = open("b"), c = open("c");
  ASSERT_TRUE(a->found_cluster(now()));
  EXPECT_EQ(c->accept(*a->admit(b->public_key(), true, now()), now()).error().code, Code::unauthorized);
  EXPECT_FALSE(c->cluster());
}

TEST_F(StandingTest, AMachinePutOutIsRefusedEverywhereTheListHasCome) {
  const auto a = open(), b = open("b"), c = open("c");
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(let_in(*a, *b));
  ASSERT_TRUE(let_in(*a, *c));
  const auto shown = shown_by(*a, *c);
  ASSERT_TRUE(a->revoke(c->device(), now()));
  EXPECT_THAT(a->judge(shown, "c", now()).error().message, HasSubstr("c was put out of this cluster"));
  EXPECT_TRUE(b->judge(shown, "c", now())) << "not told yet";
  EXPECT_EQ(b->adopt_revocations(a->revocations()), true);
  EXPECT_EQ(b->adopt_revocations(a->revocations()), false) << "no news";
  EXPECT_FALSE(b->judge(shown, "c", now()));
  EXPECT_TRUE(b->write_revocations());
  EXPECT_FALSE(open("b")->judge(shown, "c", now())) << "after a restart";
  EXPECT_FALSE(a->admit(c->public_key(), false, now())) << "no renewal for it";
  EXPECT_TRUE(a->admit(c->public_key(), true, now())) << "but it may be let in anew";
  EXPECT_FALSE(a->is_revoked(c->device()));
}

TEST_F(StandingTest, WhoLeavesHasNoListLeftToWrite) {
  const auto a = open(), b = open("b");
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(let_in(*a, *b));
  ASSERT_TRUE(a->revoke(open("c")->device(), now()));
  EXPECT_EQ(b->adopt_revocations(a->revocations()), true);
  ASSERT_TRUE(b->leave_cluster());
  EXPECT_TRUE(b->write_revocations());
  EXPECT_FALSE(fs::exists(folder_ / "b" / "revoked.bin"));
}

TEST_F(StandingTest, AnOlderListNeverReplacesANewerOne) {
  const auto a = open(), b = open("b");
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(let_in(*a, *b));
  ASSERT_TRUE(a->revoke(open("c")->device(), now()));
  const Bytes old = a->revocations();
  ASSERT_TRUE(a->revoke(open("d")->device(), now()));
  EXPECT_EQ(b->adopt_revocations(a->revocations()), true);
  EXPECT_EQ(b->adopt_revocations(old), false);
  EXPECT_TRUE(b->is_revoked(open("d")->device()));
}

TEST_F(StandingTest, TokensSurviveARestartWithTheirCount) {
  const auto a = open(), b = open("b"), c = open("c");
  ASSERT_TRUE(a->found_cluster(now()));
  const auto token = JoinToken::parse(a->create_token(1h, 1, now()).value()).value();
  EXPECT_TRUE(token.names(*a->cluster()));
  const Digest connection{};
  const auto again = open();
  EXPECT_TRUE(again->redeem(token.prove(connection, b->device()), connection, b->device(), now()));
  EXPECT_FALSE(open()->redeem(token.prove(connection, c->device()), connection, c->device(), now()));
}

TEST_F(StandingTest, AMachinePutOutComesBackByNoTokenThatItUsedOrMade) {
  const auto a = open(), b = open("b"), c = open("c");
  ASSERT_TRUE(a->found_cluster(now()));
  const auto used = JoinToken::parse(a->create_token(1h, 5, now()).value()).value(),
             made = JoinToken::parse(a->create_token(1h, 5, now(), b->node()).value()).value(),
             other = JoinToken::parse(a->create_token(1h, 5, now()).value()).value();
  const Digest connection{};
  const auto redeem = [&](const JoinToken& token, const Standing& newcomer) {
    return open()->redeem(token.prove(connection, newcomer.device()), connection, newcomer.device(), now());
  };
  ASSERT_TRUE(redeem(used, *b));
  ASSERT_TRUE(open()->revoke(b->device(), now()));
  for (const auto& newcomer : {b, c}) {  // also with a key that nobody knows
    EXPECT_FALSE(redeem(used, *newcomer));
    EXPECT_FALSE(redeem(made, *newcomer));
  }
  EXPECT_TRUE(redeem(other, *b)) << "its owner gave it a new one";
}

TEST_F(StandingTest, ATokenIsEndedByItsName) {
  const auto a = open(), b = open("b");
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(a->create_token(1h, 5, now()));
  const auto list = a->tokens(now()).value();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].maker, a->node());
  ASSERT_TRUE(a->end_token(list[0].token, now()));
  EXPECT_EQ(a->end_token(list[0].token, now()).error().code, Code::not_found);
  EXPECT_TRUE(open()->tokens(now())->empty()) << "after a restart, too";
  EXPECT_EQ(b->tokens(now()).error().code, Code::unavailable);
}

TEST_F(StandingTest, TwoMachinesOfOneNameAreBothRemembered) {
  const auto a = open();
  const DeviceId stolen = open("b")->device(), bought = open("c")->device();
  a->note_member("laptop", stolen);
  a->note_member("laptop", bought);
  auto met = open()->members_met();
  ASSERT_EQ(met.size(), 2u);
  EXPECT_EQ(met[0].device, stolen);
  EXPECT_EQ(met[1].device, bought);
  a->note_member("desk", bought);
  met = a->members_met();
  ASSERT_EQ(met.size(), 2u);
  EXPECT_EQ(met[1].name, "desk");
}

// A crash while leaving, or an owner who deleted membership.pem, as the sentence about a broken one says.
TEST_F(StandingTest, WhatIsLeftOfAnotherClusterDoesNotCountInTheNext) {
  for (const bool joins : {false, true}) {
    const std::string name = joins ? "joins" : "founds";
    const auto a = open(name), b = open("b");
    ASSERT_TRUE(a->found_cluster(now()));
    const auto old_token = JoinToken::parse(a->create_token(1h, 5, now()).value()).value();
    ASSERT_TRUE(a->revoke(b->device(), now()));
    a->note_member("b", b->device());
    fs::remove(folder_ / name / "membership.pem");
    const auto other = open("other of " + name);
    ASSERT_TRUE(other->found_cluster(now()));
    const auto again = open(name);
    ASSERT_TRUE(joins ? let_in(*other, *again) : again->found_cluster(now()));
    const auto next = Standing::open(folder_ / name);
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_EQ((*next)->may_sign(), !joins);
    EXPECT_FALSE((*next)->is_revoked(b->device()));
    EXPECT_TRUE((*next)->members_met().empty());
    const Digest connection{};
    EXPECT_FALSE((*next)->redeem(old_token.prove(connection, b->device()), connection, b->device(), now()));
    EXPECT_TRUE(fs::exists(folder_ / name / "cluster.key.old")) << "it may be the only one";
  }
}

TEST_F(StandingTest, OneContextServesAllConnectionsUntilTheMembershipChanges) {
  const auto a = open();
  const auto* alone = a->tls().handle();
  EXPECT_EQ(a->tls().handle(), alone);
  const auto kept = a->tls();
  ASSERT_TRUE(a->found_cluster(now()));
  EXPECT_NE(a->tls().handle(), kept.handle());
  EXPECT_EQ(a->tls().handle(), a->tls().handle());
}

TEST_F(StandingTest, ANewcomerKnowsTheTokensClusterByItsKey) {
  const auto a = open(), impostor = open("b");
  ASSERT_TRUE(a->found_cluster(now()));
  ASSERT_TRUE(impostor->found_cluster(now()));
  const auto token = JoinToken::parse(a->create_token(1h, 1, now()).value()).value();
  const auto right = *a->admit(a->public_key(), false, now()), wrong = *impostor->admit(a->public_key(), false, now());
  const auto judge = [&](const Bytes& member, const Bytes& cluster) {
    return Standing::judge_for_token(*Certificate::from_der(member), *Certificate::from_der(cluster), token, now());
  };
  EXPECT_TRUE(judge(right.member, right.cluster));
  EXPECT_FALSE(judge(wrong.member, wrong.cluster));
  EXPECT_FALSE(judge(wrong.member, right.cluster)) << "the right cluster's certificate beside another's member";
  EXPECT_FALSE(Standing::judge_for_token(*Certificate::from_der(right.member), {}, token, now()));
}

TEST_F(StandingTest, ANameOnceMetKeepsItsKey) {
  const auto a = open();
  const DeviceId first = open("b")->device(), second = open("c")->device();
  EXPECT_TRUE(a->meet("studio, upstairs", first));
  EXPECT_TRUE(a->meet("studio, upstairs", first));
  const auto other = open()->meet("studio, upstairs", second);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, testing::AllOf(HasSubstr("with another key"), HasSubstr("known.txt")));
  spoil("a/known.txt", "");
  EXPECT_TRUE(a->meet("studio, upstairs", second)) << "its owner took the line out";
}

}  // namespace
}  // namespace flotilla
