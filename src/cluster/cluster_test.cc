// Claims about the whole room: several nodes in one process, real sockets on loopback.
#include "cluster/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <format>
#include <fstream>
#include <thread>

#include "base/log.h"
#include "cluster/introduction.h"
#include "cluster/join_client.h"
#include "cluster/link_probe.h"
#include "io/frame_connection.h"
#include "io/link.h"
#include "io/secure_socket.h"
#include "wire/control.h"
#include "wire/joining.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// One node and what it was told.
struct TestNode {
  std::unique_ptr<Cluster> cluster;
  NodeInfo info;
  NodeIdentity identity;
  std::vector<std::string> lost;
  std::vector<std::pair<NodeId, Frame>> frames;
  std::vector<std::pair<HandshakePeer, SecureSocket>> bulk;
  std::function<void(const Guest&, const Frame&)> on_guest_frame;
  int views = 0, guests_gone = 0;

  std::string state_of(const std::string& name) const {
    const auto view = cluster->view();
    const auto* member = view.find(name);
    return member == nullptr ? "unknown" : std::string(to_string(member->state));
  }
  std::string reason_of(const std::string& name) const {
    const auto view = cluster->view();
    const auto* member = view.find(name);
    return member == nullptr ? "" : member->reason;
  }
  std::uint16_t port() const { return cluster->view().self().info.cluster_port; }
  std::string address() const { return std::format("127.0.0.1:{}", port()); }
};

struct StartOptions {
  TrustMode trust = TrustMode::trust_lan;
  std::string secret;
  std::vector<std::string> peers;
  std::uint16_t discovery_port = 0;  // 0: no beacons
  std::filesystem::path remembered;
  std::uint16_t cluster_port = 0;
  std::shared_ptr<Standing> standing;  // of a machine that was here before
};

// A machine with a key of its own.
NodeIdentity new_identity(const std::string& name, TrustMode trust = TrustMode::trust_lan, std::string secret = {},
                          std::shared_ptr<Standing> standing = Standing::in_memory()) {
  return {{.node = standing->node(), .name = name, .release = "0.1.0", .trust = trust, .secret = std::move(secret)},
          standing};
}

class Shells : public testing::Test {
 protected:
  TestNode& start(const std::string& name, StartOptions options = {}) {
    auto& node = *nodes_.emplace_back(std::make_unique<TestNode>());
    node.identity =
        new_identity(name, options.trust, options.secret, options.standing ? options.standing : Standing::in_memory());
    node.info.id = node.identity.node;
    node.info.name = name;
    node.info.version = "0.1.0";
    node.info.incarnation = ++incarnation_;
    node.info.devices = {{.kind = "CPU", .description = "test", .threads = 1, .memory_bytes = 1}};
    Cluster::Events events;
    events.on_view = [&node] { ++node.views; };
    events.on_frame = [&node](const NodeId& from, Frame frame) { node.frames.emplace_back(from, std::move(frame)); };
    events.on_lost = [&node](const NodeId&, const Error& cause) { node.lost.push_back(cause.message); };
    events.on_guest_frame = [&node](const Guest& guest, const Frame& frame) {
      if (node.on_guest_frame) node.on_guest_frame(guest, frame);
    };
    events.on_guest_gone = [&node](std::uint64_t) { ++node.guests_gone; };
    events.on_bulk = [&node](HandshakePeer peer, SecureSocket socket) {
      node.bulk.emplace_back(std::move(peer), std::move(socket));
    };
    auto started = Cluster::start(loop_,
                                  {.identity = node.identity,
                                   .cluster_port = options.cluster_port,
                                   .discovery_port = options.discovery_port,
                                   .discovery = options.discovery_port != 0,
                                   .peers = options.peers,
                                   .remembered_peers = options.remembered},
                                  node.info, std::move(events));
    EXPECT_TRUE(started) << started.error().message;
    node.cluster = std::move(*started);
    return node;
  }

  // Runs the loop until the condition holds; false after `patience`.
  bool until(const std::function<bool()>& condition, std::chrono::milliseconds patience = 10s) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop_.restart();
      loop_.run_one_for(20ms);
    }
    return true;
  }
  bool joined(const TestNode& node, const std::string& name) { return node.state_of(name) == "joined"; }

  // A port for beacons that no other test of this machine uses at the same time.
  static std::uint16_t some_port() { return static_cast<std::uint16_t>(20000 + random_u64() % 10000); }

  boost::asio::io_context loop_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
  std::uint64_t incarnation_ = 100;
};

TEST_F(Shells, JoinByAddressWithTrustLan) {
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}});
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  EXPECT_EQ(b.cluster->view().find("a")->host, "127.0.0.1");
  EXPECT_GT(a.views, 0);
}

TEST_F(Shells, FindEachOtherByBeaconsOnOneHost) {
  const auto port = some_port();
  auto& a = start("a", {.discovery_port = port});
  auto& b = start("b", {.discovery_port = port});
  auto& c = start("c", {.discovery_port = port});
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] {
    return joined(a, "b") && joined(a, "c") && joined(b, "a") && joined(b, "c") && joined(c, "a") && joined(c, "b");
  }));
  RecordProperty("milliseconds", std::to_string((std::chrono::steady_clock::now() - began) / 1ms));
  EXPECT_TRUE(a.lost.empty());
}

TEST_F(Shells, ExchangeFramesAndNews) {
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}});
  EXPECT_FALSE(a.cluster->send(b.info.id, make_frame(FrameKind::load_model, {})));
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  EXPECT_TRUE(a.cluster->send(b.info.id, make_frame(FrameKind::unload_model, encode(UnloadModel{7, "tiny"}))));
  auto news = a.info;
  news.memory_free_bytes = 12345;
  a.cluster->set_self(news);
  ASSERT_TRUE(until([&] { return !b.frames.empty() && b.cluster->view().find("a")->info.memory_free_bytes == 12345; }));
  EXPECT_EQ(b.frames[0].first, a.info.id);
  EXPECT_EQ(decode_unload_model(b.frames[0].second.body)->model, "tiny");
}

TEST_F(Shells, WithDifferentSecretsSeeButDoNotJoinEachOther) {
  auto& a = start("a", {.trust = TrustMode::secret, .secret = "one"});
  auto& b = start("b", {.trust = TrustMode::secret, .secret = "two", .peers = {a.address()}});
  ASSERT_TRUE(until([&] { return a.state_of("b") == "seen" && b.state_of("a") == "seen"; }));
  EXPECT_THAT(b.reason_of("a"), HasSubstr("secret"));
  auto& c = start("c", {.trust = TrustMode::secret, .secret = "one", .peers = {a.address()}});
  ASSERT_TRUE(until([&] { return joined(a, "c") && joined(c, "a"); }));
  EXPECT_EQ(a.state_of("b"), "seen");
}

TEST_F(Shells, WithoutTrustMerelySeeEachOtherAndSayWhatToDo) {
  auto& a = start("a");
  auto& b = start("b", {.trust = TrustMode::none, .peers = {a.address()}});
  ASSERT_TRUE(until([&] { return a.state_of("b") == "seen" && b.state_of("a") == "seen"; }));
  EXPECT_THAT(a.reason_of("b"), HasSubstr("--trust-lan"));
  EXPECT_FALSE(a.reason_of("b").starts_with("["));
}

TEST_F(Shells, MembersOfOneClusterJoinWithoutAnyFlag) {
  auto& a = start("a", {.trust = TrustMode::none});
  auto& b = start("b", {.trust = TrustMode::none});
  ASSERT_TRUE(a.identity.standing->found_cluster(wall_time()));
  ASSERT_TRUE(b.identity.standing->accept(
      *a.identity.standing->admit(b.identity.standing->public_key(), true, wall_time()), wall_time()));
  auto& c = start("c", {.trust = TrustMode::none, .peers = {a.address(), b.address()}});
  ASSERT_TRUE(c.identity.standing->accept(
      *a.identity.standing->admit(c.identity.standing->public_key(), true, wall_time()), wall_time()));
  ASSERT_TRUE(until([&] { return joined(a, "c") && joined(c, "a") && joined(b, "c") && joined(c, "b"); }));
}

TEST_F(Shells, MembersOfTwoClustersMerelySeeEachOther) {
  auto& a = start("a", {.trust = TrustMode::none});
  ASSERT_TRUE(a.identity.standing->found_cluster(wall_time()));
  auto& b = start("b", {.trust = TrustMode::none, .peers = {a.address()}});
  ASSERT_TRUE(b.identity.standing->found_cluster(wall_time()));
  ASSERT_TRUE(
      until([&] { return a.reason_of("b").contains("cluster") && b.reason_of("a").contains("another cluster"); }));
}

TEST_F(Shells, TrustANamesFirstKeyOnly) {
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}});
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  b.cluster.reset();
  auto& thief = start("b", {.peers = {a.address()}});
  ASSERT_TRUE(until([&] { return thief.state_of("a") == "seen"; }));
  EXPECT_THAT(thief.reason_of("a"), HasSubstr("b was met before with another key"));
}

TEST_F(Shells, SayGoodbye) {
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}});
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  bool done = false;
  b.cluster->leave("going home", [&] { done = true; });
  ASSERT_TRUE(until([&] { return done && !a.lost.empty(); }, 3s));
  EXPECT_THAT(a.lost[0], HasSubstr("b left: going home"));
  EXPECT_EQ(a.state_of("b"), "unknown");
}

TEST_F(Shells, NoticeAClosedSocketAtOnce) {
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}});
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  b.cluster.reset();  // as when the process is killed
  EXPECT_TRUE(until([&] { return !a.lost.empty(); }, 1s));
}

TEST_F(Shells, ComeBackByThemselvesAfterALoss) {
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}});
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  const auto port = a.port();
  a.cluster.reset();
  ASSERT_TRUE(until([&] { return b.state_of("a") == "unknown"; }, 2s));
  auto& again = start("a", {.cluster_port = port, .standing = a.identity.standing});
  EXPECT_TRUE(until([&] { return joined(b, "a") && joined(again, "b"); }));
}

TEST_F(Shells, RememberEachOthersAddresses) {
  const auto file = std::filesystem::temp_directory_path() / std::format("flotilla-remembered-{}", random_u64());
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}, .remembered = file});
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  b.cluster.reset();
  auto& again = start("c", {.remembered = file});  // no address given
  EXPECT_TRUE(until([&] { return joined(a, "c") && joined(again, "a"); }));
  std::filesystem::remove(file);
}

TEST_F(Shells, LiveOnAfterGarbage) {
  auto& a = start("a");
  for (const std::string& garbage : {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n") + std::string(100, 'x'),
                                     std::string(5000, '\xff'), std::string("FLOT")}) {
    auto socket = tcp_connect("127.0.0.1", a.port(), 1s);
    ASSERT_TRUE(socket);
    ::send(socket->get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    until([] { return false; }, 50ms);
  }
  auto& b = start("b", {.peers = {a.address()}});
  EXPECT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  EXPECT_EQ(a.cluster->view().members.size(), 2u);
}

TEST_F(Shells, ExplainAPeerOfAnotherVersion) {
  auto& a = start("a");
  auto socket = tcp_connect("127.0.0.1", a.port(), 1s);
  ASSERT_TRUE(socket);
  auto handshake = Handshake::initiate({.node = random_node_id(),
                                        .name = "future",
                                        .release = "9.9.0",
                                        .cluster_port = 1,
                                        .trust = TrustMode::trust_lan,
                                        .secret = ""},
                                       ConnectionClass::control, std::nullopt);
  auto hello = *handshake.take_outgoing();
  hello.header.version = protocol_version + 1;
  const auto head = encode_header(hello.header, hello.body);
  ::send(socket->get(), head.data(), head.size(), MSG_NOSIGNAL);
  ::send(socket->get(), hello.body.data(), hello.body.size(), MSG_NOSIGNAL);
  ASSERT_TRUE(until([&] { return a.state_of("future") == "seen"; }));
  EXPECT_THAT(a.reason_of("future"), HasSubstr("version"));
  auto& b = start("b", {.peers = {a.address()}});
  EXPECT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
}

TEST_F(Shells, RefuseASecondMachineOfTheSameName) {
  auto& a = start("twin");
  auto& b = start("twin", {.peers = {a.address()}});
  const auto reason_at = [](const TestNode& node) { return node.cluster->view().members.back().reason; };
  ASSERT_TRUE(until([&] { return a.cluster->view().members.size() == 2 && b.cluster->view().members.size() == 2; }));
  EXPECT_EQ(reason_at(b), "another machine is already called \"twin\"; start this one with --name");
  EXPECT_EQ(b.cluster->view().members.back().state, MemberState::seen);
  EXPECT_THAT(reason_at(a), HasSubstr("start it there with --name"));
}

TEST_F(Shells, HandBulkConnectionsOverAsBlockingSockets) {
  auto& a = start("a", {.trust = TrustMode::secret, .secret = "s"});
  Result<std::unique_ptr<Link>> link = fail(Code::internal, "not run");
  const NodeIdentity asker = new_identity("b", TrustMode::secret, "s");
  std::jthread helper([&, port = a.port()] {
    link = connect_bulk(asker, a.identity.node, "127.0.0.1", port);
    if (link) (void)(*link)->send(make_frame(FrameKind::range_request, Bytes(3, std::byte{1})));
  });
  ASSERT_TRUE(until([&] { return !a.bulk.empty(); }));
  helper.join();
  ASSERT_TRUE(link) << link.error().message;
  EXPECT_EQ(a.bulk[0].first.node, asker.node);
  const auto ours = make_tcp_link(std::move(a.bulk[0].second));
  Frame frame;
  ASSERT_TRUE(ours->receive(frame, 2s));
  EXPECT_EQ(frame.header.kind, FrameKind::range_request);
  EXPECT_EQ(a.cluster->view().members.size(), 1u);  // a bulk connection makes no member
}

// Probes `peer` where `a` listens, with a's requests answered as `answer` says.
Result<LinkFigures> probe(const NodeId& peer, std::uint16_t port, const std::function<bool()>& until_bulk,
                          std::vector<std::pair<HandshakePeer, SecureSocket>>& bulk, bool answers) {
  Result<LinkFigures> figures = fail(Code::internal, "not run");
  const NodeIdentity asker = new_identity("b");
  std::jthread helper([&] { figures = probe_link(asker, peer, {"127.0.0.1", port}); });
  if (!until_bulk()) return figures;
  const auto link = make_tcp_link(std::move(bulk[0].second));
  Frame frame;
  while (link->receive(frame, 2s)) {
    const auto request = decode_rate_request(frame.body);
    (void)(answers ? answer_rate(*link, *request) : refuse_rate(*link, {Code::busy, "later"}));
  }
  helper.join();
  return figures;
}

// A forged beacon may have told of it: it is at nobody's mercy who asks there.
TEST_F(Shells, HearNoLongFrameFromWhoAnswersAtAnAddress) {
  const auto stranger = new_identity("stranger");
  const auto listener = tcp_listen("127.0.0.1", 0).value();
  std::jthread helper([&] {
    const auto soon = [] { return std::chrono::steady_clock::now() + 5s; };
    auto socket = tcp_accept(listener, 5s);
    auto secure = shake_hands(*std::move(socket), stranger.standing->tls(), TlsRole::responder, soon());
    if (!secure) return;
    (void)send_exactly(*secure, encode_header({.kind = FrameKind::step}, Bytes(1u << 20)), soon());
    (void)has_begun(*secure, soon());  // until the other has hung up
    (void)receive_frame(*secure, FrameConnection::stranger_body_bytes_max, soon());
    (void)has_begun(*secure, soon());
  });
  const auto figures = probe_link(new_identity("b"), NodeId{}, {"127.0.0.1", local_port(listener)});
  ASSERT_FALSE(figures);
  EXPECT_EQ(figures.error().code, Code::too_large) << figures.error().message;
}

TEST_F(Shells, MeasureALinkByABulkConnection) {
  auto& a = start("a");
  const auto bulk_is_here = [&] { return until([&] { return !a.bulk.empty(); }); };
  const auto figures = probe(a.identity.node, a.port(), bulk_is_here, a.bulk, true);
  ASSERT_TRUE(figures) << figures.error().message;
  EXPECT_GT(figures->latency_seconds, 0);
  EXPECT_LT(figures->latency_seconds, 0.1);
  EXPECT_GT(figures->bytes_per_second, 1e6);
  EXPECT_TRUE(figures->real);
  EXPECT_FALSE(figures->interface.empty());
}

TEST_F(Shells, SayThatALinkCannotBeMeasuredNow) {
  auto& a = start("a");
  const auto bulk_is_here = [&] { return until([&] { return !a.bulk.empty(); }); };
  const auto figures = probe(a.identity.node, a.port(), bulk_is_here, a.bulk, false);
  ASSERT_FALSE(figures);
  EXPECT_EQ(figures.error().code, Code::busy);
}

TEST_F(Shells, MeasureNoLinkToAnotherThanWasMeant) {
  auto& a = start("a");
  const auto bulk_is_here = [&] { return until([&] { return !a.bulk.empty(); }); };
  const auto figures = probe(random_node_id(), a.port(), bulk_is_here, a.bulk, true);
  ASSERT_FALSE(figures);
  EXPECT_EQ(figures.error().code, Code::unauthorized);
}

TEST_F(Shells, ReachAMemberAtThePreferredHostUntilItLeaves) {
  auto& a = start("a");
  auto& b = start("b", {.peers = {a.address()}});
  ASSERT_TRUE(until([&] { return joined(a, "b") && joined(b, "a"); }));
  EXPECT_THAT(b.cluster->addresses_of(a.info.id), testing::ElementsAre(PeerAddress{"127.0.0.1", a.port()}));
  const int views = b.views;
  b.cluster->prefer_host(a.info.id, "fe80::1%eth1");
  EXPECT_EQ(b.cluster->view().find("a")->host, "fe80::1%eth1");
  EXPECT_GT(b.views, views);
  b.cluster->prefer_host(a.info.id, "");
  EXPECT_EQ(b.cluster->view().find("a")->host, "127.0.0.1");
}

TEST_F(Shells, RefuseBulkConnectionsWithAnotherSecret) {
  auto& a = start("a", {.trust = TrustMode::secret, .secret = "s"});
  Result<std::unique_ptr<Link>> link = fail(Code::internal, "not run");
  bool done = false;
  std::jthread helper([&, port = a.port()] {
    link = connect_bulk(new_identity("b", TrustMode::secret, "t"), a.identity.node, "127.0.0.1", port);
    boost::asio::post(loop_, [&] { done = true; });
  });
  ASSERT_TRUE(until([&] { return done; }));
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code, Code::unauthorized) << link.error().message;
  EXPECT_TRUE(a.bulk.empty());
}

// A newcomer's connection whose handshake is done.
std::unique_ptr<Link> knock_at(const TestNode& node, const NodeIdentity& newcomer) {
  auto socket = tcp_connect("127.0.0.1", node.port(), 1s);
  if (!socket) return nullptr;
  auto secure = shake_hands(*std::move(socket), newcomer.standing->tls(), TlsRole::initiator,
                            std::chrono::steady_clock::now() + 5s);
  if (!secure) return nullptr;
  if (!introduce(*secure, newcomer, ConnectionClass::join)) return nullptr;
  return make_tcp_link(*std::move(secure));
}

TEST_F(Shells, LetManyKnockAtOnceAndShowOutWhoSaysNothing) {
  constexpr int guests = 20;  // that were started together
  auto& a = start("a", {.trust = TrustMode::none});
  int heard = 0;
  a.on_guest_frame = [&](const Guest& guest, const Frame&) {
    ++heard;
    a.cluster->let_guest_wait(guest.id, 1min);
  };
  std::vector<std::unique_ptr<Link>> links(guests);
  std::jthread helper([&] {
    for (auto& link : links) link = knock_at(a, new_identity("newcomer", TrustMode::none));
    for (int i = 0; i < guests / 2; ++i)
      if (links[i]) (void)links[i]->send(make_frame(FrameKind::join_request, {}));
  });
  ASSERT_TRUE(until([&] { return heard == guests / 2; }));
  EXPECT_TRUE(until([&] { return a.guests_gone == guests / 2; })) << a.guests_gone;
  helper.join();
  Frame frame;
  ASSERT_TRUE(links.back()->receive(frame, 2s));
  EXPECT_EQ(frame.header.kind, FrameKind::refused);
  EXPECT_EQ(links.front()->receive(frame, 1ms).error().code, Code::timeout) << "still a guest";
}

TEST_F(Shells, TakeNoLongFrameFromAGuestWhateverKindItSays) {
  auto& a = start("a", {.trust = TrustMode::none});
  bool has_come = false;
  a.on_guest_frame = [&](const Guest&, const Frame&) { has_come = true; };
  std::jthread helper([&] {
    if (const auto link = knock_at(a, new_identity("newcomer", TrustMode::none)))
      (void)link->send(make_frame(FrameKind::node_info, Bytes(FrameConnection::stranger_body_bytes_max + 1)));
  });
  EXPECT_TRUE(until([&] { return a.guests_gone == 1; }));
  EXPECT_FALSE(has_come);
}

// A member that was put out has the cluster's certificate still, which a newcomer believes.
TEST_F(Shells, TakeNoMembershipOfAnotherClusterForTheirToken) {
  auto& thief = start("thief", {.trust = TrustMode::none});
  const auto signer = Standing::in_memory(), other = Standing::in_memory();
  ASSERT_TRUE(signer->found_cluster(wall_time()));
  ASSERT_TRUE(other->found_cluster(wall_time()));
  const auto& standing = *thief.identity.standing;
  ASSERT_TRUE(thief.identity.standing->accept(*signer->admit(standing.public_key(), true, wall_time()), wall_time()));
  const auto token = JoinToken::parse(signer->create_token(1h, 1, wall_time()).value()).value();
  for (const auto& giver : {other, signer}) {
    thief.on_guest_frame = [&](const Guest& guest, const Frame&) {
      auto given = giver->admit(guest.key, true, wall_time()).value();
      thief.cluster->send_to_guest(
          guest.id, make_frame(FrameKind::join_granted,
                               encode(JoinGranted{std::move(given.member), std::move(given.cluster), {}})));
    };
    Result<JoinOutcome> outcome = fail(Code::internal, "not run");
    bool done = false;
    std::jthread helper([&, port = thief.port()] {
      outcome =
          ask_to_join(new_identity("newcomer", TrustMode::none), {"127.0.0.1", port}, {.token = token, .on_code = {}});
      boost::asio::post(loop_, [&] { done = true; });
    });
    ASSERT_TRUE(until([&] { return done; }));
    if (giver == signer) {
      EXPECT_TRUE(outcome) << outcome.error().message;
    } else {
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().code, Code::not_found) << "the next door may be better";
      EXPECT_THAT(outcome.error().message, HasSubstr("a certificate of another"));
    }
  }
}

TEST_F(Shells, SayWhichPortIsBusy) {
  auto& a = start("a");
  const auto second = Cluster::start(loop_, {.identity = a.identity, .cluster_port = a.port()}, a.info, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::busy);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(a.port())));
  const auto nonsense = Cluster::start(loop_, {.identity = a.identity, .peers = {"a b"}}, a.info, {});
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, Code::invalid_argument);
}

}  // namespace
}  // namespace flotilla
