// Claims about who is let in and who is put out: the desks alone, before a cluster of the test's own, and a newcomer
// before doors that do what the test says.
#include <nlohmann/json.hpp>

#include "app/admit_desk.h"
#include "app/join_desk.h"
#include "app/test_desks.h"
#include "wire/joining.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What desks ask of a cluster is noted; what it knows is told by the test.
struct ScriptedCluster : Cluster {
  std::map<NodeId, Certificate> certificates;
  std::vector<std::pair<NodeId, std::string>> out;
  std::vector<PeerAddress> addresses;
  std::vector<std::pair<std::uint64_t, Frame>> told;  // guests
  std::vector<std::uint64_t> dismissed;
  std::map<std::uint64_t, std::chrono::seconds> waits;
  bool guests_are_there = true;

  void set_self(NodeInfo) override {}
  bool send(const NodeId&, const Frame&) override { return true; }
  Status offer(const NodeId&, const Frame&) override { return {}; }
  ClusterView view() const override { return {}; }
  std::vector<PeerAddress> addresses_of(const NodeId&) const override { return {}; }
  std::optional<PeerFacts> facts_of(const NodeId&) const override { return {}; }
  void prefer_host(const NodeId&, std::string) override {}
  std::optional<Certificate> shown_by(const NodeId& member) const override {
    const auto found = certificates.find(member);
    return found == certificates.end() ? std::nullopt : std::optional(found->second);
  }
  void put_out(const NodeId& member, std::string reason) override { out.emplace_back(member, std::move(reason)); }
  void retry() override {}
  std::vector<PeerAddress> doors() const override { return addresses; }
  bool send_to_guest(std::uint64_t guest, const Frame& frame) override {
    told.emplace_back(guest, frame);
    return guests_are_there;
  }
  void let_guest_wait(std::uint64_t guest, std::chrono::seconds time) override { waits[guest] = time; }
  void dismiss_guest(std::uint64_t guest, Error) override { dismissed.push_back(guest); }
  void leave(std::string, std::function<void()>) override {}
};

class TrustDesks : public Desks {
 protected:
  TrustDesks() {
    standing_ = context_->identity.standing;
    context_->identity.node = view_.members[0].info.id = standing_->node();
    view_.members[1].info.id = member_->node();
  }

  // This machine founds a cluster and "island" is in it, with a certificate of that time.
  void found_with_island(WallTime at = wall_time()) {
    ASSERT_TRUE(standing_->found_cluster(wall_time()));
    show(at);
  }
  void show(WallTime at) {
    const auto admission = standing_->admit(member_->public_key(), true, at).value();
    cluster_.certificates.insert_or_assign(member_->node(), Certificate::from_der(admission.member).value());
  }
  Guest guest(std::uint64_t id) {
    return {.id = id, .peer = {.name = "newcomer"}, .key = SigningKey::generate().public_key(), .host = "192.168.1.9"};
  }
  // Asks for a code; with `reveals`, up to the point where it is shown.
  void ask_for_code(AdmitDesk& desk, const Guest& guest, bool reveals) {
    const PairingNonce nonce = random_pairing_nonce();
    desk.guests().on_frame(guest, make_frame(FrameKind::join_request,
                                             encode(JoinRequest{.by_code = true, .commitment = commitment_to(nonce)})));
    if (reveals) desk.guests().on_frame(guest, make_frame(FrameKind::join_reveal, encode(JoinNonce{nonce})));
  }
  std::vector<FrameKind> kinds_told(std::uint64_t guest) const {
    std::vector<FrameKind> kinds;
    for (const auto& [to, frame] : cluster_.told)
      if (to == guest) kinds.push_back(frame.header.kind);
    return kinds;
  }
  TrustOrder last_order() const { return decode_trust_order(sent_.back().second.body).value(); }

  AdmitDesk desk() {
    return AdmitDesk(*context_, [this]() -> Cluster& { return cluster_; });
  }

  ScriptedCluster cluster_;
  std::shared_ptr<Standing> standing_;
  const std::shared_ptr<Standing> member_ = Standing::in_memory();
};

// --- Codes ---

TEST_F(TrustDesks, WhoStandsBetweenGetsFewCodesHoweverOftenItHangsUp) {
  AdmitDesk admits = desk();
  for (std::uint64_t id = 1; id <= 100; ++id) {
    ask_for_code(admits, guest(id), false);
    admits.guests().on_gone(id);
    EXPECT_THAT(kinds_told(id), ElementsAre(id <= 5 ? FrameKind::join_nonce : FrameKind::refused)) << id;
  }
  const Error told = read_refusal(cluster_.told.back().second);
  EXPECT_EQ(told.code, Code::busy);
  EXPECT_THAT(told.message, AllOf(HasSubstr("one every 30 s"), HasSubstr("flotilla token create")));
}

TEST_F(TrustDesks, ANewcomerOwesItsHalfOfACodeInSecondsAndThenWaitsForAPerson) {
  AdmitDesk admits = desk();
  ask_for_code(admits, guest(1), false);
  EXPECT_FALSE(cluster_.waits.contains(1));
  EXPECT_THAT(admits.members()["waiting"], IsEmpty());
  ask_for_code(admits, guest(2), true);
  EXPECT_EQ(cluster_.waits[2], PairingBudget::code_time_max);
  EXPECT_EQ(admits.members()["waiting"].size(), 1u);
  ask_for_code(admits, guest(2), false);  // once more
  EXPECT_THAT(cluster_.dismissed, ElementsAre(2));
}

TEST_F(TrustDesks, ApprovingSaysWhereTheNewcomerHungUpMeanwhile) {
  AdmitDesk admits = desk();
  ask_for_code(admits, guest(1), true);
  const std::string code = admits.members()["waiting"][0]["code"];
  cluster_.guests_are_there = false;
  std::optional<Result<std::string>> approved;
  admits.approve(code, [&](Result<std::string> name) { approved = std::move(name); });
  ASSERT_TRUE(approved && !*approved);
  EXPECT_THAT(approved->error().message, HasSubstr("newcomer hung up"));
}

// --- Who belongs ---

TEST_F(TrustDesks, WhoWasPutOutBetweenHandshakeAndIntroductionIsNoMember) {
  found_with_island();
  AdmitDesk admits = desk();
  admits.on_joined(member_->node());
  EXPECT_THAT(cluster_.out, IsEmpty());
  ASSERT_TRUE(standing_->revoke(member_->device(), wall_time()));
  admits.on_joined(member_->node());
  ASSERT_EQ(cluster_.out.size(), 1u);
  EXPECT_EQ(cluster_.out[0].first, member_->node());
  EXPECT_THAT(cluster_.out[0].second, HasSubstr("island was put out of this cluster"));
}

TEST_F(TrustDesks, AMembershipEndsAlsoOnAConnectionThatIsOpen) {
  found_with_island(wall_time() - std::chrono::days(31));
  AdmitDesk admits = desk();
  admits.judge_members();
  ASSERT_EQ(cluster_.out.size(), 1u);
  EXPECT_THAT(cluster_.out[0].second, HasSubstr("the membership of island ended"));
}

TEST_F(TrustDesks, ARenewedMembershipGoesOnWithoutANewConnection) {
  found_with_island(wall_time() - std::chrono::days(31));
  AdmitDesk admits = desk();
  const Bytes renewed = standing_->admit(member_->public_key(), false, wall_time())->member;
  const Bytes anothers = standing_->admit(Standing::in_memory()->public_key(), true, wall_time())->member;
  admits.on_revocations(member_->node(), {.list = {}, .membership = anothers});
  admits.judge_members();
  ASSERT_EQ(cluster_.out.size(), 1u) << "that was another machine's";
  admits.on_revocations(member_->node(), {.list = {}, .membership = renewed});
  admits.judge_members();
  EXPECT_EQ(cluster_.out.size(), 1u);
  ASSERT_TRUE(standing_->revoke(member_->device(), wall_time()));
  admits.judge_members();
  EXPECT_EQ(cluster_.out.size(), 2u);
}

TEST_F(TrustDesks, ANameThatTwoMachinesHadPutsOutNeither) {
  found_with_island();
  AdmitDesk admits = desk();
  const auto stolen = Standing::in_memory();
  standing_->note_member("laptop", stolen->device());
  standing_->note_member("laptop", member_->device());
  EXPECT_EQ(admits.members()["members"].size(), 3u) << "both, and this machine";
  std::optional<Result<std::string>> revoked;
  const auto revoke = [&](const std::string& name) {
    admits.revoke(name, [&](Result<std::string> text) { revoked = std::move(text); });
    return revoked && *revoked;
  };
  EXPECT_FALSE(revoke("laptop"));
  EXPECT_EQ(revoked->error().code, Code::invalid_argument);
  EXPECT_THAT(revoked->error().message,
              AllOf(HasSubstr(to_string(stolen->device()) + " (away)"),
                    HasSubstr(to_string(member_->device()) + " (joined)"), HasSubstr("say its id")));
  EXPECT_FALSE(standing_->is_revoked(stolen->device()) || standing_->is_revoked(member_->device()));
  EXPECT_TRUE(revoke(to_string(stolen->device())));
  EXPECT_TRUE(standing_->is_revoked(stolen->device()));
  EXPECT_TRUE(revoke("laptop")) << "there is one left";
  EXPECT_TRUE(standing_->is_revoked(member_->device()));
}

// --- What members are asked ---

TEST_F(TrustDesks, AnAnswerCountsFromTheMachineThatWasAskedOnly) {
  ASSERT_TRUE(member_->found_cluster(wall_time()));
  ASSERT_TRUE(standing_->accept(*member_->admit(standing_->public_key(), true, wall_time()), wall_time()));
  view_.members[1].info.may_sign = true;
  AdmitDesk admits = desk();
  std::vector<std::string> tokens;
  const auto ask = [&] {
    admits.create_token(60, 1, [&](const Result<std::string>& token) { tokens.push_back(token.value_or("failed")); });
    return last_order().ticket;
  };
  const auto ticket = ask();
  admits.on_answer(harbour_, {.ticket = ticket, .ok = true, .text = "a token of somebody else's"});
  EXPECT_THAT(tokens, IsEmpty());
  const auto token = member_->create_token(60s, 1, wall_time(), standing_->node()).value();
  admits.on_answer(member_->node(), {.ticket = ticket, .ok = true, .text = token});
  EXPECT_THAT(tokens, ElementsAre(token));
  EXPECT_NE(ask(), ticket + 1) << "to be guessed by nobody";
}

TEST_F(TrustDesks, WhoOnlySaysThatItSignsIsNotBelieved) {
  ASSERT_TRUE(member_->found_cluster(wall_time()));
  ASSERT_TRUE(standing_->accept(*member_->admit(standing_->public_key(), true, wall_time()), wall_time()));
  const auto laptop = Standing::in_memory();
  standing_->note_member("laptop", laptop->device());
  view_.members[1].info.may_sign = true;
  AdmitDesk admits = desk();
  const auto other = Standing::in_memory();
  ASSERT_TRUE(other->found_cluster(wall_time()));
  std::optional<Result<std::string>> token, out;
  admits.create_token(60, 1, [&](Result<std::string> made) { token = std::move(made); });
  admits.on_answer(member_->node(), {.ticket = last_order().ticket,
                                     .ok = true,
                                     .text = other->create_token(60s, 1, wall_time(), other->node()).value()});
  ASSERT_TRUE(token && !*token);
  EXPECT_THAT(token->error().message, HasSubstr("expected a token of this cluster"));
  admits.revoke("laptop", [&](Result<std::string> name) { out = std::move(name); });
  admits.on_answer(member_->node(), {.ticket = last_order().ticket, .ok = true, .text = "laptop"});
  ASSERT_TRUE(out && !*out);
  EXPECT_THAT(out->error().message, HasSubstr("it is not put out"));
  ASSERT_TRUE(member_->revoke(laptop->device(), wall_time()));
  admits.revoke("laptop", [&](Result<std::string> name) { out = std::move(name); });
  const auto ticket = last_order().ticket;
  admits.on_revocations(member_->node(), {.list = member_->revocations(), .membership = {}});
  admits.on_answer(member_->node(), {.ticket = ticket, .ok = true, .text = "laptop"});
  EXPECT_TRUE(*out);
  // Nobody is asked to put itself out.
  standing_->note_member("island", member_->device());
  admits.revoke("island", [&](Result<std::string> name) { out = std::move(name); });
  EXPECT_THAT(out->error().message, HasSubstr("is not here"));
}

TEST_F(TrustDesks, OneThatWasAskedCannotUseUpTheAnswersOfOthers) {
  found_with_island();
  const NodeId third = random_node_id();
  add(third, "third", MemberState::joined);
  AdmitDesk admits = desk();
  std::optional<Result<std::string>> approved;
  admits.approve("000000", [&](Result<std::string> name) { approved = std::move(name); });
  const auto ticket = last_order().ticket;
  for (int i = 0; i < 3; ++i) admits.on_answer(member_->node(), {.ticket = ticket, .code = "not_found"});
  EXPECT_FALSE(approved);
  admits.on_answer(third, {.ticket = ticket, .ok = true, .text = "newcomer"});
  ASSERT_TRUE(approved && *approved);
  EXPECT_EQ(**approved, "newcomer");
}

TEST_F(TrustDesks, TokensAreListedWithWhoMadeThemAndEndedByTheirId) {
  found_with_island();
  AdmitDesk admits = desk();
  admits.on_order(member_->node(), {.ticket = 5, .wish = TrustWish::create_token, .seconds = 60, .uses = 2});
  EXPECT_TRUE(decode_trust_answer(sent_.back().second.body)->ok);
  std::optional<json> listed;
  const auto list = [&] {
    admits.list_tokens([&](Result<json> tokens) { listed = tokens.value_or(json()); });
    return (*listed)["tokens"];
  };
  ASSERT_EQ(list().size(), 1u);
  EXPECT_EQ(list()[0]["made_by"], "island");
  EXPECT_EQ(list()[0]["uses"], 2);
  std::vector<bool> ended;
  for (const std::string& id : {std::string("of no kind"), list()[0]["id"].get<std::string>()})
    admits.end_token(id, [&](const Result<std::string>& text) { ended.push_back(text.has_value()); });
  EXPECT_THAT(ended, ElementsAre(false, true));
  EXPECT_THAT(list(), IsEmpty());
}

// --- A newcomer before doors ---

class Newcomer : public TrustDesks {
 protected:
  // A member of a cluster of its own, whose answers are the test's.
  struct Door {
    std::shared_ptr<Standing> standing = Standing::in_memory();
    std::unique_ptr<Cluster> cluster;
    std::function<void(Door&, const Guest&, FrameKind)> on_guest;
    std::optional<Guest> guest;
    int gone = 0;

    void show_code() {
      cluster->send_to_guest(guest->id, make_frame(FrameKind::join_nonce, encode(JoinNonce{random_pairing_nonce()})));
    }
    void grant() {
      auto given = standing->admit(guest->key, true, wall_time()).value();
      cluster->send_to_guest(guest->id,
                             make_frame(FrameKind::join_granted,
                                        encode(JoinGranted{std::move(given.member), std::move(given.cluster), {}})));
    }
    void refuse(Code code) { cluster->send_to_guest(guest->id, make_refusal({code, "[test] not here"})); }
  };

  Door& open_door(const std::string& name, std::function<void(Door&, const Guest&, FrameKind)> on_guest) {
    Door& door = *doors_.emplace_back(std::make_unique<Door>());
    door.on_guest = std::move(on_guest);
    EXPECT_TRUE(door.standing->found_cluster(wall_time()));
    NodeInfo info;
    info.id = door.standing->node();
    info.name = name;
    Cluster::Events events;
    events.on_guest_frame = [&door](const Guest& guest, const Frame& frame) {
      door.guest = guest;
      door.on_guest(door, guest, frame.header.kind);
    };
    events.on_guest_gone = [&door](std::uint64_t) { ++door.gone; };
    door.cluster = Cluster::start(loop_,
                                  {.identity = {{.node = info.id, .name = name, .release = "0.1.0"}, door.standing},
                                   .discovery = false},
                                  info, std::move(events))
                       .value();
    cluster_.addresses.push_back({"127.0.0.1", door.cluster->view().self().info.cluster_port});
    return door;
  }
  static void move_into(Door& door, Standing& signer) {
    ASSERT_TRUE(door.standing->leave_cluster());
    ASSERT_TRUE(door.standing->accept(*signer.admit(door.standing->public_key(), true, wall_time()), wall_time()));
  }
  // Grants to whoever shows its half of a code, unasked.
  static void grant_at_once(Door& door, const Guest&, FrameKind kind) {
    kind == FrameKind::join_request ? door.show_code() : door.grant();
  }

  void join(JoinDesk::Wish wish = {}) {
    outcome_.reset();
    joins_.join(
        std::move(wish), [this](const JoinDesk::Shown& shown) { shown_.push_back(shown); },
        [this](Result<std::string> machine) { outcome_ = std::move(machine); });
  }
  bool until(const std::function<bool()>& condition, std::chrono::milliseconds patience = 10s) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop_.restart();
      loop_.run_one_for(20ms);
    }
    return true;
  }

  void expect_in_by_a_door_that_opens_after(std::chrono::milliseconds wait) {
    join({.confirmed = true});
    until([] { return false; }, wait);
    EXPECT_FALSE(outcome_) << (*outcome_).error().message;
    Door& door = open_door("a", grant_at_once);
    ASSERT_TRUE(until([&] { return outcome_.has_value(); }, 4s));
    ASSERT_TRUE(*outcome_) << outcome_->error().message;
    EXPECT_EQ(standing_->cluster(), door.standing->cluster());
  }

  std::vector<std::unique_ptr<Door>> doors_;
  std::vector<JoinDesk::Shown> shown_;
  std::optional<Result<std::string>> outcome_;
  JoinDesk joins_{*context_, [this]() -> Cluster& { return cluster_; }};
};

TEST_F(Newcomer, IsInOnceItsOwnerHasConfirmedTheCode) {
  Door& door = open_door("a", grant_at_once);
  join();
  ASSERT_TRUE(until([&] { return !shown_.empty(); }));
  EXPECT_FALSE(joins_.confirm("not this"));
  EXPECT_FALSE(standing_->cluster());
  ASSERT_TRUE(joins_.confirm(shown_[0].code));
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }));
  EXPECT_TRUE(*outcome_);
  EXPECT_EQ(standing_->cluster(), door.standing->cluster());
}

TEST_F(Newcomer, ThatGivesUpAfterItWasGrantedMayAskAgainAndIsNotInByAnOldCode) {
  Door& door = open_door("a", grant_at_once);
  join();
  // The grant has arrived, or is about to: both must end in the same way.
  ASSERT_TRUE(until([&] { return !shown_.empty() && door.gone == 1; }));
  until([] { return false; }, 100ms);
  joins_.cancel();
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }, 2s));
  EXPECT_EQ(outcome_->error().code, Code::cancelled);
  EXPECT_FALSE(joins_.confirm(shown_[0].code));
  EXPECT_FALSE(standing_->cluster());
  join();
  ASSERT_TRUE(until([&] { return shown_.size() == 2; })) << (outcome_ ? outcome_->error().message : "");
  ASSERT_TRUE(joins_.confirm(shown_[1].code));
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }));
  EXPECT_TRUE(*outcome_);
}

TEST_F(Newcomer, TakesNoSecondMachineForTheOneItsOwnerCompared) {
  Door& first = open_door("a", [](Door& door, const Guest&, FrameKind kind) {
    if (kind == FrameKind::join_request) door.show_code();
  });
  open_door("b", grant_at_once);
  join();
  ASSERT_TRUE(until([&] { return !shown_.empty(); }));
  ASSERT_TRUE(joins_.confirm(shown_[0].code));
  first.refuse(Code::not_found);  // as where nobody can be let in there: the next door may be better
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }));
  EXPECT_FALSE(*outcome_);
  EXPECT_FALSE(standing_->cluster());
}

// Who refuses may have been put out, or be a stranger.
TEST_F(Newcomer, GoesToTheNextDoorWhereTheFirstIsBusyOrLacksTheKeyOrRefuses) {
  for (const Code code : {Code::busy, Code::unavailable, Code::not_found, Code::unauthorized})
    open_door("a", [code](Door& door, const Guest&, FrameKind) { door.refuse(code); });
  Door& last = open_door("b", grant_at_once);
  join({.confirmed = true});
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }));
  ASSERT_TRUE(*outcome_) << outcome_->error().message;
  EXPECT_EQ(standing_->cluster(), last.standing->cluster());
}

TEST_F(Newcomer, HearsWhatMayPassRatherThanThatNobodyIsThere) {
  open_door("a", [](Door& door, const Guest&, FrameKind) { door.refuse(Code::unavailable); });
  open_door("b", [](Door& door, const Guest&, FrameKind) { door.refuse(Code::not_found); });
  join({.confirmed = true});
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }));
  EXPECT_EQ(outcome_->error().code, Code::unavailable);
}

TEST_F(Newcomer, WaitsForAMachineToBeSeen) { expect_in_by_a_door_that_opens_after(300ms); }

TEST_F(Newcomer, WaitsForTheMachineThatCanLetItInWhereOthersCannot) {
  open_door("newcomer", [](Door& door, const Guest&, FrameKind) { door.refuse(Code::not_found); });
  expect_in_by_a_door_that_opens_after(500ms);
}

TEST_F(Newcomer, WithATokenAsksOnAfterItsOwnerTriedInVain) {
  const auto signer = Standing::in_memory();
  ASSERT_TRUE(signer->found_cluster(wall_time()));
  Door& door = open_door("a", [](Door& at, const Guest&, FrameKind) { at.refuse(Code::unavailable); });
  move_into(door, *signer);
  joins_.keep_asking(JoinToken::parse(signer->create_token(1h, 1, wall_time()).value()).value());
  until([] { return false; }, 300ms);  // it rests
  join({.confirmed = true});
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }));
  EXPECT_FALSE(*outcome_);
  int asked = 0;
  door.on_guest = [&](Door& at, const Guest&, FrameKind) { ++asked, at.refuse(Code::unavailable); };
  EXPECT_TRUE(until([&] { return asked > 0; }, 5s));
}

TEST_F(Newcomer, ThatSeesNobodyIsToldWhatToDoAndMayGiveUpBefore) {
  join();
  joins_.cancel();
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }, 2s));
  EXPECT_EQ(outcome_->error().code, Code::cancelled);
  join();
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }, 8s));
  EXPECT_EQ(outcome_->error().code, Code::not_found);
  EXPECT_THAT(outcome_->error().message, HasSubstr("flotilla doctor"));
}

TEST_F(Newcomer, HearsThatItMayNotWhereNobodyLetsItIn) {
  open_door("a", [](Door& door, const Guest&, FrameKind) { door.refuse(Code::unauthorized); });
  open_door("b", [](Door& door, const Guest&, FrameKind) { door.refuse(Code::not_found); });
  join({.confirmed = true});
  ASSERT_TRUE(until([&] { return outcome_.has_value(); }));
  EXPECT_EQ(outcome_->error().code, Code::unauthorized);
}

TEST_F(Newcomer, WithATokenGoesOnAskingUntilTheKeyIsThere) {
  const auto signer = Standing::in_memory();
  ASSERT_TRUE(signer->found_cluster(wall_time()));
  int asked = 0;
  Door& door = open_door("a", [&](Door& at, const Guest& guest, FrameKind) {
    if (++asked == 1) return at.refuse(Code::unavailable);
    auto given = signer->admit(guest.key, true, wall_time()).value();
    at.cluster->send_to_guest(guest.id,
                              make_frame(FrameKind::join_granted,
                                         encode(JoinGranted{std::move(given.member), std::move(given.cluster), {}})));
  });
  move_into(door, *signer);
  joins_.keep_asking(JoinToken::parse(signer->create_token(1h, 1, wall_time()).value()).value());
  ASSERT_TRUE(until([&] { return standing_->cluster().has_value(); }));
  EXPECT_EQ(standing_->cluster(), signer->cluster());
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace flotilla
