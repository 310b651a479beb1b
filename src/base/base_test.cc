// Claims about the ground floor: identities, sizes, bytes, queue, digests.
#include <gtest/gtest.h>

#include <thread>

#include "base/bounded_queue.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "base/units.h"
#include "base/words.h"

namespace flotilla {
namespace {

TEST(Units, SizesReadBackAsTheyWereWritten) {
  EXPECT_EQ(parse_bytes("8G").value(), 8 * gib);
  EXPECT_EQ(parse_bytes("1.5 GiB").value(), gib + gib / 2);
  EXPECT_EQ(parse_bytes("512m").value(), 512 * mib);
  EXPECT_EQ(parse_bytes("77").value(), 77u);
  EXPECT_EQ(format_bytes(24 * gib), "24 GiB");
  EXPECT_EQ(format_bytes(98362432), "93.8 MiB");
  EXPECT_EQ(format_bytes(999 * kib + 900), "1.0 MiB");
}

TEST(Units, NonsenseIsRefusedWithAnExample) {
  for (const char* text : {"", "G", "-1G", "nan", "1e30T", "12 parsecs"}) {
    const auto result = parse_bytes(text);
    ASSERT_FALSE(result) << text;
    EXPECT_NE(result.error().message.find("8G"), std::string::npos);
  }
}

TEST(Ids, NodeIdsSurviveText) {
  const NodeId id = random_node_id();
  EXPECT_EQ(node_id_from_string(to_string(id)).value(), id);
  EXPECT_NE(random_node_id(), id);
  EXPECT_FALSE(node_id_from_string("abcd"));
  EXPECT_FALSE(node_id_from_string(std::string(32, 'g')));
}

TEST(Ids, ALaterIncarnationBeatsAnyCounter) {
  EXPECT_LT((Epoch{1, 900}), (Epoch{2, 1}));
  EXPECT_LT((Epoch{2, 1}), (Epoch{2, 2}));
}

TEST(Bytes, AShortReadSticks) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.number<std::uint16_t>(0x1234);
  writer.text("abc");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.number<std::uint16_t>(), 0x1234);
  EXPECT_EQ(reader.text(3), "abc");
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.number<std::uint8_t>(), 0);
  EXPECT_FALSE(reader.ok());
}

TEST(Bytes, ATextLongerThanAllowedIsRefused) {
  Bytes bytes;
  ByteWriter(bytes).text("abcd");
  ByteReader reader(bytes);
  reader.text(3);
  EXPECT_FALSE(reader.ok());
}

TEST(Queue, FullIsBusyAndClosedAnswersWithTheCause) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_EQ(queue.try_push(2).error().code, Code::busy);
  queue.close({Code::closed, "the ring broke"});
  EXPECT_EQ(queue.pop().value(), 1);
  EXPECT_EQ(queue.pop().error().message, "the ring broke");
  EXPECT_EQ(queue.try_push(3).error().message, "the ring broke");
}

TEST(Queue, CloseWakesAWaitingConsumer) {
  BoundedQueue<int> queue(1);
  std::jthread consumer([&] { EXPECT_EQ(queue.pop().error().code, Code::closed); });
  queue.close({Code::closed, "done"});
}

TEST(Digests, KnownAnswers) {
  EXPECT_EQ(to_hex(sha256(bytes_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, test case 2.
  EXPECT_EQ(to_hex(hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Codes, EachNameReadsBack) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i)
    EXPECT_EQ(code_from_string(to_string(static_cast<Code>(i))), static_cast<Code>(i));
  EXPECT_EQ(code_from_string("from a newer peer"), Code::internal);
}

TEST(Words, LoseTheirRoomAndTheirCase) {
  EXPECT_EQ(without_room("[hub] expected a file"), "expected a file");
  EXPECT_EQ(without_room("expected [x] here"), "expected [x] here");
  EXPECT_EQ(without_room("[not closed"), "[not closed");
  EXPECT_EQ(lower_case("Content-TYPE Ä"), "content-type Ä");
}

}  // namespace
}  // namespace flotilla
