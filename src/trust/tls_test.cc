// Claims about two ends of an encrypted connection that have no socket between them but a test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trust/tls_session.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

WallTime now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// Brings what one end has to send to the other, at most `piece` bytes at a time.
bool carry(TlsSession& from, TlsSession& to, std::size_t piece = SIZE_MAX) {
  bool moved = false;
  while (!from.outgoing().empty()) {
    const auto bytes = from.outgoing();
    const auto count = std::min(bytes.size(), piece);
    const auto into = to.room(count);
    std::copy_n(bytes.begin(), count, into.begin());
    to.arrived(count);
    from.sent(count);
    moved = true;
  }
  return moved;
}

struct Pair {
  TlsSession a, b;
  Status a_status, b_status;

  Pair(const TlsContext& initiator, const TlsContext& responder, std::size_t piece = SIZE_MAX,
       std::uint64_t records_per_key = TlsSession::records_per_key_max)
      : a(initiator, TlsRole::initiator, records_per_key), b(responder, TlsRole::responder, records_per_key) {
    for (bool moved = true; moved;) {
      if (a_status) a_status = a.advance();
      moved = carry(a, b, piece);
      if (b_status) b_status = b.advance();
      moved = carry(b, a, piece) || moved;
    }
  }
  bool established() const { return a.established() && b.established() && a_status && b_status; }
};

struct Device {
  SigningKey key = SigningKey::generate();
  TlsContext context = TlsContext::of_device(key, Certificate::of_device(key, now()), {});
};

std::string read_all(TlsSession& session) {
  std::string text(1 << 20, ' ');
  std::size_t done = 0;
  while (const auto count = session.read(std::as_writable_bytes(std::span(text)).subspan(done)).value()) done += count;
  return text.substr(0, done);
}

TEST(Tls, TwoDevicesKnowEachOtherByTheirKeys) {
  const Device one, other;
  for (const std::size_t piece : {SIZE_MAX, std::size_t{1}, std::size_t{7}}) {
    Pair pair(one.context, other.context, piece);
    ASSERT_TRUE(pair.established()) << pair.a_status.error_or(Error{}).message
                                    << pair.b_status.error_or(Error{}).message;
    EXPECT_EQ(pair.a.peer()->id(), other.key.id());
    EXPECT_EQ(pair.b.peer()->id(), one.key.id());
    EXPECT_FALSE(pair.a.peer_issuer());
  }
}

TEST(Tls, TheExporterIsEqualOnBothEndsAndOfOneConnectionOnly) {
  const Device one, other;
  const Pair pair(one.context, other.context), again(one.context, other.context);
  EXPECT_EQ(pair.a.exporter(), pair.b.exporter());
  EXPECT_NE(pair.a.exporter(), again.a.exporter());
}

TEST(Tls, WhoStandsBetweenHasAnotherExporterOnEachSide) {
  const Device one, other, between;
  const Pair left(one.context, between.context), right(between.context, other.context);
  EXPECT_NE(left.a.exporter(), right.b.exporter());
  EXPECT_EQ(right.b.peer()->id(), between.key.id());
}

TEST(Tls, AMemberShowsItsClustersCertificateToo) {
  const SigningKey cluster = SigningKey::generate();
  const Device stranger;
  const auto member = SigningKey::generate();
  const auto context = TlsContext::of_device(member, Certificate::of_member(cluster, member.public_key(), now()),
                                             Certificate::of_cluster(cluster, now()));
  const Pair pair(stranger.context, context), turned(context, stranger.context);
  ASSERT_TRUE(pair.established() && turned.established());
  for (const TlsSession* session : {&pair.a, &turned.b}) {
    EXPECT_EQ(session->peer()->id(), member.id());
    EXPECT_TRUE(session->peer()->is_signed_by(cluster.public_key()));
    ASSERT_TRUE(session->peer_issuer());
    EXPECT_EQ(session->peer_issuer()->id(), cluster.id());
  }
}

TEST(Tls, AKeyIsRenewedInTimeAndTheOtherEndFollows) {
  const Device one, other;
  Pair pair(one.context, other.context, SIZE_MAX, 4);
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 12; ++i) {
    for (auto [from, to] : {std::pair(&pair.a, &pair.b), std::pair(&pair.b, &pair.a)}) {
      ASSERT_TRUE(from->write(bytes_of("a word")));
      if (from == &pair.a) sizes.push_back(from->outgoing().size());
      carry(*from, *to);
      EXPECT_EQ(read_all(*to), "a word");
    }
  }
  for (std::size_t i = 0; i < sizes.size(); ++i)
    EXPECT_EQ(sizes[i] > sizes[0], i % 4 == 3) << "a record more tells of a new key, every fourth time: " << i;
  ASSERT_TRUE(pair.a.write(bytes_of(std::string(1 << 20, 'x'))));
  carry(pair.a, pair.b);
  EXPECT_EQ(read_all(pair.b).size(), std::size_t{1} << 20);
}

TEST(Tls, WhatIsSaidArrivesWholeAndIsNotOnTheWire) {
  const Device one, other;
  Pair pair(one.context, other.context);
  std::string secret(100'000, 'x');
  secret.replace(50'000, 15, "a user's prompt");
  ASSERT_TRUE(pair.a.write(bytes_of(secret)));
  const auto wire = pair.a.outgoing();
  const std::string_view seen(reinterpret_cast<const char*>(wire.data()), wire.size());
  EXPECT_EQ(seen.find("prompt"), std::string_view::npos);
  EXPECT_EQ(seen.find("xxxxxxxx"), std::string_view::npos);
  EXPECT_FALSE(pair.b.has_something().value());
  carry(pair.a, pair.b, 1000);
  EXPECT_TRUE(pair.b.has_something().value());
  EXPECT_EQ(read_all(pair.b), secret);
  EXPECT_FALSE(pair.b.has_something().value());
}

TEST(Tls, AChangedByteEndsTheConnection) {
  const Device one, other;
  Pair pair(one.context, other.context);
  ASSERT_TRUE(pair.a.write(bytes_of("to be or not to be")));
  const auto bytes = pair.a.outgoing();
  const auto into = pair.b.room(bytes.size());
  std::ranges::copy(bytes, into.begin());
  into[bytes.size() / 2] ^= std::byte{1};
  pair.b.arrived(bytes.size());
  std::array<std::byte, 100> buffer;
  EXPECT_EQ(pair.b.read(buffer).error().code, Code::corrupt);
}

TEST(Tls, WhatIsNoTlsIsSaidToBeNone) {
  const Device one;
  for (const std::string& text :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(300, '\0'), std::string("FLOT\1\0", 6)}) {
    TlsSession session(one.context, TlsRole::responder);
    const auto into = session.room(text.size());
    std::ranges::copy(bytes_of(text), into.begin());
    session.arrived(text.size());
    const auto status = session.advance();
    EXPECT_TRUE(status || status.error().code == Code::corrupt);
    EXPECT_FALSE(session.established());
  }
}

TEST(Tls, ASharedKeyLetsInWhoHasItAndNobodyElse) {
  const auto key = TlsContext::of_shared_key(bytes_of("0123456789abcdef0123456789abcdef"));
  const auto same = TlsContext::of_shared_key(bytes_of("0123456789abcdef0123456789abcdef"));
  const auto other = TlsContext::of_shared_key(bytes_of("0123456789abcdef0123456789abcdeF"));
  Pair pair(key, same);
  ASSERT_TRUE(pair.established()) << pair.a_status.error_or(Error{}).message << pair.b_status.error_or(Error{}).message;
  EXPECT_EQ(pair.a.exporter(), pair.b.exporter());
  EXPECT_FALSE(pair.a.peer());
  ASSERT_TRUE(pair.a.write(bytes_of("activations")));
  carry(pair.a, pair.b);
  EXPECT_EQ(read_all(pair.b), "activations");
  const Pair wrong(key, other);
  EXPECT_FALSE(wrong.a.established() || wrong.b.established());
  EXPECT_FALSE(wrong.b_status);
}

TEST(Tls, ASharedKeyIsNotReplacedByACertificate) {
  const auto key = TlsContext::of_shared_key(bytes_of("0123456789abcdef0123456789abcdef"));
  const Device device;
  const Pair as_responder(key, device.context), as_initiator(device.context, key);
  for (const Pair* pair : {&as_responder, &as_initiator}) EXPECT_FALSE(pair->a.established() || pair->b.established());
}

}  // namespace
}  // namespace flotilla
