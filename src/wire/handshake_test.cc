// Claims about who may talk, and what the two who may not are told.
#include "wire/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace flotilla {
namespace {

using testing::AllOf;
using testing::HasSubstr;

HandshakeIdentity identity(std::string name, TrustMode trust, std::string secret = {}) {
  NodeId node;
  for (std::size_t i = 0; i < node.bytes.size(); ++i) node.bytes[i] = static_cast<std::uint8_t>(name[i % name.size()]);
  return {.node = node,
          .name = std::move(name),
          .release = "0.1.0",
          .cluster_port = 52414,
          .trust = trust,
          .secret = std::move(secret)};
}

// One connection's, seen from an end whose other end is `peer`.
ChannelBinding bound(const HandshakeIdentity& peer, std::uint8_t connection = 1) {
  ChannelBinding binding{.peer = peer.node};
  binding.exporter.fill(std::byte{connection});
  return binding;
}

struct Outcome {
  Handshake initiator, responder;
  std::optional<Error> initiator_error, responder_error;
  bool joined() const { return initiator.done() && responder.done() && !initiator_error && !responder_error; }
};

// Moves frames until nobody has anything to say.
Outcome shake(const HandshakeIdentity& a, const HandshakeIdentity& b, ConnectionClass connection_class = {}) {
  Outcome outcome{Handshake::initiate(a, connection_class, bound(b)), Handshake::respond(b, bound(a)), {}, {}};
  for (bool moved = true; moved;) {
    moved = false;
    if (const auto frame = outcome.initiator.take_outgoing()) {
      moved = true;
      if (const auto status = outcome.responder.on_frame(*frame); !status) outcome.responder_error = status.error();
    }
    if (const auto frame = outcome.responder.take_outgoing()) {
      moved = true;
      if (const auto status = outcome.initiator.on_frame(*frame); !status) outcome.initiator_error = status.error();
    }
  }
  return outcome;
}

void expect_refused(const Outcome& outcome, Code code, const testing::Matcher<std::string>& message) {
  EXPECT_FALSE(outcome.joined());
  EXPECT_FALSE(outcome.initiator.done());
  EXPECT_FALSE(outcome.responder.done());
  for (const auto& error : {outcome.initiator_error, outcome.responder_error}) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, code);
    EXPECT_THAT(error->message, message);
  }
}

TEST(Handshake, TwoThatTrustTheNetworkJoin) {
  const Outcome outcome =
      shake(identity("studio", TrustMode::trust_lan), identity("laptop", TrustMode::trust_lan), ConnectionClass::bulk);
  ASSERT_TRUE(outcome.joined());
  EXPECT_EQ(outcome.initiator.peer()->name, "laptop");
  EXPECT_EQ(outcome.responder.peer()->name, "studio");
  EXPECT_EQ(outcome.responder.peer()->node, identity("studio", TrustMode::none).node);
  EXPECT_EQ(outcome.responder.peer()->release, "0.1.0");
  EXPECT_EQ(outcome.responder.peer()->cluster_port, 52414);
  EXPECT_EQ(outcome.responder.peer()->version, protocol_version);
  EXPECT_EQ(outcome.responder.peer()->connection_class, ConnectionClass::bulk);
}

TEST(Handshake, TwoWithOneSecretJoin) {
  EXPECT_TRUE(
      shake(identity("studio", TrustMode::secret, "plum"), identity("laptop", TrustMode::secret, "plum")).joined());
}

TEST(Handshake, AnotherSecretIsNamed) {
  expect_refused(shake(identity("studio", TrustMode::secret, "plum"), identity("laptop", TrustMode::secret, "pear")),
                 Code::unauthorized, HasSubstr("was started with another --cluster-secret"));
}

TEST(Handshake, WithoutTrustTwoMerelySeeEachOther) {
  const Outcome outcome = shake(identity("studio", TrustMode::none), identity("laptop", TrustMode::none));
  expect_refused(outcome, Code::unauthorized,
                 AllOf(HasSubstr("merely see each other"), HasSubstr("start both with"), HasSubstr("flotilla join")));
  EXPECT_EQ(outcome.initiator.peer()->name, "laptop");
  EXPECT_EQ(outcome.responder.peer()->name, "studio");
}

TEST(Handshake, TheMachineThatLacksTheFlagIsNamedOnBothSides) {
  for (const bool first_lacks : {false, true}) {
    const auto lacking = identity("laptop", TrustMode::none);
    for (const auto& other :
         {identity("studio", TrustMode::trust_lan), identity("studio", TrustMode::secret, "plum")}) {
      const std::string flag =
          other.trust == TrustMode::trust_lan ? "--trust-lan as studio" : "--cluster-secret as studio";
      expect_refused(first_lacks ? shake(lacking, other) : shake(other, lacking), Code::unauthorized,
                     AllOf(HasSubstr("laptop was started without --trust-lan or --cluster-secret"), HasSubstr(flag)));
    }
  }
}

TEST(Handshake, DifferingTrustSaysSo) {
  expect_refused(shake(identity("studio", TrustMode::trust_lan), identity("laptop", TrustMode::secret, "plum")),
                 Code::unauthorized,
                 AllOf(HasSubstr("laptop was started with --cluster-secret but studio was started with --trust-lan"),
                       HasSubstr("the same way")));
}

TEST(Handshake, TwoNodesWithOneIdentityAreToldAboutTheCopiedHome) {
  auto copy = identity("studio", TrustMode::trust_lan);
  copy.name = "studio-copy";
  expect_refused(shake(identity("studio", TrustMode::trust_lan), copy), Code::invalid_argument,
                 AllOf(HasSubstr("two nodes with one identity"), HasSubstr("--home")));
}

TEST(Handshake, AnotherVersionIsExplainedWithBothReleasesAndMachines) {
  for (const std::uint16_t version : {std::uint16_t{1}, std::uint16_t{3}}) {
    auto other = identity("attic", TrustMode::trust_lan);
    other.release = "9.9.9";
    // Releases before version 2 talk in the clear.
    const auto binding = version == 1 ? std::nullopt : std::optional(bound(other));
    Handshake initiator = Handshake::initiate(other, ConnectionClass::control, binding);
    Handshake responder = Handshake::respond(identity("studio", TrustMode::trust_lan), binding);
    Frame hello = *initiator.take_outgoing();
    hello.header.version = version;
    const auto status = responder.on_frame(hello);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::version_mismatch);
    EXPECT_THAT(status.error().message,
                AllOf(HasSubstr("studio runs flotilla 0.1.0 with protocol version 2"),
                      HasSubstr("attic runs flotilla 9.9.9 with protocol version " + std::to_string(version)),
                      HasSubstr(version == 1 ? "update flotilla on attic" : "update flotilla on studio")));
    EXPECT_EQ(responder.peer()->name, "attic");
    // The other side prints the same sentence.
    const auto answer = responder.take_outgoing();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.kind, FrameKind::refused);
    EXPECT_EQ(initiator.on_frame(*answer).error().message, status.error().message);
  }
}

TEST(Handshake, AHelloOfAnotherVersionThatCannotBeReadIsStillExplained) {
  Handshake responder = Handshake::respond(identity("studio", TrustMode::trust_lan), std::nullopt);
  Frame hello = make_frame(FrameKind::hello, Bytes(5, std::byte{0xff}));
  hello.header.version = 7;
  EXPECT_THAT(responder.on_frame(hello).error().message,
              AllOf(HasSubstr("version 7"), HasSubstr("update flotilla on studio")));
}

TEST(Handshake, NothingIsSaidToAPeerThatTalksInTheClear) {
  const auto studio = identity("studio", TrustMode::trust_lan), laptop = identity("laptop", TrustMode::trust_lan);
  Handshake initiator = Handshake::initiate(laptop, ConnectionClass::control, std::nullopt);
  Handshake responder = Handshake::respond(studio, std::nullopt);
  const auto status = responder.on_frame(*initiator.take_outgoing());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::unauthorized);
  EXPECT_THAT(status.error().message, HasSubstr("laptop talks in the clear"));
}

TEST(Handshake, AnIdentityIsThatOfTheKeyBehindIt) {
  const auto studio = identity("studio", TrustMode::trust_lan), laptop = identity("laptop", TrustMode::trust_lan);
  Handshake initiator = Handshake::initiate(laptop, ConnectionClass::control, bound(studio));
  Handshake responder = Handshake::respond(studio, bound(identity("thief", TrustMode::trust_lan)));
  const auto status = responder.on_frame(*initiator.take_outgoing());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::unauthorized);
  EXPECT_THAT(status.error().message, HasSubstr("expected laptop to show the key of its identity"));
}

TEST(Handshake, MembersAreJudgedByTheirCertificatesOnBothSides) {
  const auto studio = identity("studio", TrustMode::member), laptop = identity("laptop", TrustMode::member);
  for (const int refusing : {0, 1, 2}) {
    auto of_laptop = bound(laptop), of_studio = bound(studio);
    std::vector<std::string> judged;
    const auto judge = [&](int side) {
      return [&judged, side, refusing](const std::string& name) -> Status {
        judged.push_back(name);
        if (side == refusing) return fail(Code::unauthorized, "[trust] {} belongs to another cluster", name);
        return {};
      };
    };
    of_laptop.judge = judge(1);
    of_studio.judge = judge(2);
    Handshake initiator = Handshake::initiate(laptop, ConnectionClass::control, of_studio);
    Handshake responder = Handshake::respond(studio, of_laptop);
    auto status = responder.on_frame(*initiator.take_outgoing());
    if (status) status = initiator.on_frame(*responder.take_outgoing());
    EXPECT_EQ(status.has_value(), refusing == 0);
    EXPECT_TRUE(status || status.error().message.contains("another cluster"));
    EXPECT_EQ(judged.size(), refusing == 1 ? 1u : 2u);
  }
}

TEST(Handshake, OnlyStrangersAndMembersMeetToJoin) {
  for (const TrustMode member : {TrustMode::none, TrustMode::member, TrustMode::trust_lan})
    EXPECT_EQ(shake(identity("laptop", TrustMode::none), identity("studio", member), ConnectionClass::join).joined(),
              member != TrustMode::trust_lan);
}

TEST(Handshake, AProofCannotBeReplayedOrReflected) {
  const auto studio = identity("studio", TrustMode::secret, "plum"),
             laptop = identity("laptop", TrustMode::secret, "plum");
  Handshake first = Handshake::initiate(studio, ConnectionClass::control, bound(laptop));
  Handshake recorded = Handshake::respond(laptop, bound(studio));
  const Frame hello = *first.take_outgoing();
  ASSERT_TRUE(recorded.on_frame(hello));
  const Frame reply = *recorded.take_outgoing();
  ASSERT_TRUE(first.on_frame(reply));
  const Frame proof = *first.take_outgoing();
  // Both of the initiator's frames again, on another connection.
  Handshake second = Handshake::respond(laptop, bound(studio, 2));
  ASSERT_TRUE(second.on_frame(hello));
  EXPECT_EQ(second.on_frame(proof).error().code, Code::unauthorized);
  // The responder's own answer, passed on by who stands between, to an initiator on another connection.
  Handshake third = Handshake::initiate(studio, ConnectionClass::control, bound(laptop, 2));
  EXPECT_EQ(third.on_frame(reply).error().code, Code::unauthorized);
}

TEST(Handshake, AnAnswerForAnotherClassIsRefused) {
  const auto studio = identity("studio", TrustMode::trust_lan), laptop = identity("laptop", TrustMode::trust_lan);
  for (const ConnectionClass said : {ConnectionClass::bulk, ConnectionClass::join}) {
    Handshake initiator = Handshake::initiate(studio, ConnectionClass::control, bound(laptop));
    Handshake responder = Handshake::respond(laptop, bound(studio));
    ASSERT_TRUE(responder.on_frame(*initiator.take_outgoing()));
    auto reply = nlohmann::json::from_cbor(responder.take_outgoing()->body);
    reply["class"] = static_cast<int>(said);  // its proof is for the class that was asked for
    const auto bytes = nlohmann::json::to_cbor(reply);
    const auto octets = std::as_bytes(std::span(bytes));
    const auto status = initiator.on_frame(make_frame(FrameKind::hello_reply, Bytes(octets.begin(), octets.end())));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::corrupt);
    EXPECT_THAT(status.error().message, HasSubstr("expected laptop to answer for a connection of class 0"));
    EXPECT_FALSE(initiator.done());
  }
}

TEST(Handshake, FramesOutOfOrderAreRefusedAndTheErrorSticks) {
  for (const FrameKind kind : {FrameKind::proof, FrameKind::ping, FrameKind::generate, FrameKind::hello_reply}) {
    Handshake responder =
        Handshake::respond(identity("studio", TrustMode::trust_lan), bound(identity("attic", TrustMode::none)));
    EXPECT_EQ(responder.on_frame(make_frame(kind, {})).error().code, Code::corrupt);
    EXPECT_EQ(responder.take_outgoing()->header.kind, FrameKind::refused);
    const Frame hello =
        *Handshake::initiate(identity("attic", TrustMode::trust_lan), ConnectionClass::control, {}).take_outgoing();
    EXPECT_EQ(responder.on_frame(hello).error().code, Code::corrupt);
    EXPECT_FALSE(responder.take_outgoing());
  }
}

TEST(Handshake, ABodyCutAnywhereIsCorrupt) {
  const Frame hello =
      *Handshake::initiate(identity("attic", TrustMode::trust_lan), ConnectionClass::control, {}).take_outgoing();
  for (std::size_t bytes = 0; bytes < hello.body.size(); ++bytes) {
    Handshake responder =
        Handshake::respond(identity("studio", TrustMode::trust_lan), bound(identity("attic", TrustMode::none)));
    const Bytes cut(hello.body.begin(), hello.body.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_EQ(responder.on_frame(make_frame(FrameKind::hello, cut)).error().code, Code::corrupt) << bytes;
  }
}

}  // namespace
}  // namespace flotilla
