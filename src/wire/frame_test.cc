// Claims about frames and steps: what is damaged is noticed, what contradicts itself is refused, the example in
// docs/wire.md is what the code sends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "base/hex.h"
#include "base/limits.h"
#include "wire/frame.h"
#include "wire/likeliest.h"
#include "wire/step.h"

namespace flotilla {
namespace {

Bytes some_bytes(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7);
  return bytes;
}

FrameHeaderBytes header_bytes_of(const Frame& frame) { return encode_header(frame.header, frame.body); }

TEST(Frame, AHeaderReadsBackAsItWasWritten) {
  const Frame frame = make_frame(FrameKind::token_event, some_bytes(100), {12345678901234, 7}, 99);
  const auto header = decode_header(header_bytes_of(frame));
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->kind, FrameKind::token_event);
  EXPECT_EQ(header->epoch, (Epoch{12345678901234, 7}));
  EXPECT_EQ(header->step, 99u);
  EXPECT_EQ(header->body_bytes, 100u);
  EXPECT_EQ(header->version, protocol_version);
  EXPECT_TRUE(check_body(*header, frame.body));
}

TEST(Frame, CorruptionOfAnyBitOfTheHeaderIsDetected) {
  for (const FrameKind kind : {FrameKind::step, FrameKind::hello}) {
    const auto good = header_bytes_of(make_frame(kind, some_bytes(16), {1, 2}, 3));
    for (std::size_t bit = 0; bit < frame_header_bytes * 8; ++bit) {
      auto bad = good;
      bad[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      const auto header = decode_header(bad);
      ASSERT_FALSE(header) << "bit " << bit;
      EXPECT_EQ(header.error().code, Code::corrupt) << "bit " << bit;
    }
  }
}

TEST(Frame, CorruptionOfAnyBitOfTheBodyIsDetected) {
  const Frame frame = make_frame(FrameKind::step, some_bytes(64));
  for (std::size_t bit = 0; bit < frame.body.size() * 8; ++bit) {
    Bytes bad = frame.body;
    bad[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    EXPECT_FALSE(check_body(frame.header, bad)) << "bit " << bit;
  }
  EXPECT_FALSE(check_body(frame.header, std::span(frame.body).first(63)));
}

TEST(Frame, AnotherVersionIsRefusedByNumberExceptWhereItExplainsItself) {
  for (const FrameKind kind : {FrameKind::hello, FrameKind::hello_reply, FrameKind::refused}) {
    Frame frame = make_frame(kind, some_bytes(3));
    frame.header.version = 9;
    const auto header = decode_header(header_bytes_of(frame));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->version, 9);
  }
  Frame frame = make_frame(FrameKind::generate, some_bytes(3));
  frame.header.version = 9;
  const auto header = decode_header(header_bytes_of(frame));
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code, Code::version_mismatch);
  EXPECT_THAT(header.error().message, testing::AllOf(testing::HasSubstr("version 2"), testing::HasSubstr("got 9")));
}

TEST(Frame, ABodyBeyondItsKindsLimitIsRefusedBeforeItIsRead) {
  for (const FrameKind kind : {FrameKind::hello, FrameKind::ping, FrameKind::node_info, FrameKind::range_data}) {
    const Bytes fits(body_bytes_max(kind)), beyond(body_bytes_max(kind) + 1);
    EXPECT_TRUE(decode_header(encode_header({.kind = kind}, fits)));
    const auto header = decode_header(encode_header({.kind = kind}, beyond));
    ASSERT_FALSE(header);
    EXPECT_EQ(header.error().code, Code::too_large);
  }
  EXPECT_GE(body_bytes_max(FrameKind::step), limits::activation_bytes_max);
  EXPECT_GE(body_bytes_max(FrameKind::range_data), limits::bulk_chunk_bytes);
}

TEST(Frame, AKindOfANewerReleaseCanBeReadAndSkipped) {
  const auto header = decode_header(encode_header({.kind = static_cast<FrameKind>(999)}, some_bytes(10)));
  ASSERT_TRUE(header);
  EXPECT_EQ(to_string(header->kind), "unknown");
}

TEST(Frame, AnHttpRequestIsToldApart) {
  FrameHeaderBytes bytes{};
  std::memcpy(bytes.data(), "GET / HTTP/1.1\r\nHost: localhost:52414\r\n\r\n", 41);
  const auto header = decode_header(bytes);
  ASSERT_FALSE(header);
  EXPECT_THAT(header.error().message, testing::HasSubstr("47455420"));
}

// --- Steps ---------------------------------------------------------------------------------------

StepBatch example_batch() {
  return {.epoch = {1700000000000000, 3},
          .step = 41,
          .rows = {{SeqId{2}, 17, 1234, false}, {SeqId{2}, 18, 5678, true}},
          .free = {SeqId{5}},
          .truncate = {{SeqId{1}, 100}},
          .copy_prefix = {{SeqId{2}, SeqId{3}, 16}}};
}

const std::vector<float> example_values{1.0f, -2.0f, 0.5f, 0.0f, 0.25f, 3.0f, -1.0f, 100.0f};

Frame step_frame(const StepBatch& batch, std::span<const float> values, std::uint32_t width, ActivationType type) {
  Bytes body;
  encode_step(batch, values, width, type, body);
  return make_frame(FrameKind::step, std::move(body), batch.epoch, batch.step);
}

struct Decoded {
  Status status;
  StepBatch batch;
  Activations activations;
};

Decoded decode(const Frame& frame) {
  Decoded decoded;
  decoded.status = decode_step(frame.header, frame.body, decoded.batch, decoded.activations);
  return decoded;
}

TEST(Step, EverythingAStageNeedsReadsBackExactly) {
  const Decoded decoded = decode(step_frame(example_batch(), example_values, 4, ActivationType::f32));
  ASSERT_TRUE(decoded.status) << decoded.status.error().message;
  EXPECT_EQ(decoded.batch, example_batch());
  EXPECT_EQ(decoded.activations.rows, 2u);
  EXPECT_EQ(decoded.activations.width, 4u);
  EXPECT_EQ(decoded.activations.values, example_values);
}

TEST(Step, ARowSaysThatTheLikeliestTokenIsEnough) {
  StepBatch batch = example_batch();
  batch.rows[1].likeliest_is_enough = true;
  const Decoded decoded = decode(step_frame(batch, example_values, 4, ActivationType::f32));
  ASSERT_TRUE(decoded.status);
  EXPECT_EQ(decoded.batch, batch);
}

TEST(Step, TheLastStageSendsOnlyRowsThatWantLogits) {
  const std::vector<float> one_row{1, 2, 3, 4};
  const Decoded decoded = decode(step_frame(example_batch(), one_row, 4, ActivationType::f32));
  ASSERT_TRUE(decoded.status);
  EXPECT_EQ(decoded.activations.rows, 1u);
  EXPECT_EQ(decoded.activations.values, one_row);
}

TEST(Step, AStepWithoutRowsCarriesCacheOrders) {
  StepBatch batch = example_batch();
  batch.rows.clear();
  const Decoded decoded = decode(step_frame(batch, {}, 0, ActivationType::f32));
  ASSERT_TRUE(decoded.status);
  EXPECT_EQ(decoded.batch, batch);
}

TEST(Step, MemoryIsReusedFromStepToStep) {
  Bytes scratch;
  encode_step(example_batch(), example_values, 4, ActivationType::f32, scratch);
  const auto* body_at = scratch.data();
  StepBatch batch;
  Activations activations;
  const FrameHeader header{.kind = FrameKind::step};
  ASSERT_TRUE(decode_step(header, scratch, batch, activations));
  const auto* rows_at = batch.rows.data();
  const auto* values_at = activations.values.data();
  encode_step(example_batch(), example_values, 4, ActivationType::f32, scratch);
  ASSERT_TRUE(decode_step(header, scratch, batch, activations));
  EXPECT_EQ(scratch.data(), body_at);
  EXPECT_EQ(batch.rows.data(), rows_at);
  EXPECT_EQ(activations.values.data(), values_at);
}

float through_bf16(float value) {
  StepBatch batch{.rows = {{SeqId{0}, 0, 0, true}}};
  return decode(step_frame(batch, std::span(&value, 1), 1, ActivationType::bf16)).activations.values.at(0);
}

TEST(Step, Bf16RoundsToNearestEven) {
  EXPECT_EQ(through_bf16(1.0f), 1.0f);
  EXPECT_EQ(through_bf16(0x1.01p0f), 0x1.00p0f);      // a tie: to the even neighbour below
  EXPECT_EQ(through_bf16(0x1.03p0f), 0x1.04p0f);      // a tie: to the even neighbour above
  EXPECT_EQ(through_bf16(0x1.010002p0f), 0x1.02p0f);  // just above a tie
  EXPECT_EQ(through_bf16(-0x1.03p0f), -0x1.04p0f);
  EXPECT_EQ(through_bf16(70000.0f), 70144.0f);  // beyond F16
  EXPECT_TRUE(std::signbit(through_bf16(-0.0f)));
  EXPECT_EQ(through_bf16(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
  EXPECT_EQ(through_bf16(-std::numeric_limits<float>::infinity()), -std::numeric_limits<float>::infinity());
}

TEST(Step, ANaNStaysANaN) {
  EXPECT_TRUE(std::isnan(through_bf16(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(through_bf16(std::bit_cast<float>(0x7f800001u))));  // its payload lies in the lost bits
  EXPECT_TRUE(std::isnan(through_bf16(std::bit_cast<float>(0xffffffffu))));
}

TEST(Step, ABodyCutAnywhereIsRefused) {
  for (const auto type : {ActivationType::f32, ActivationType::bf16}) {
    const Frame whole = step_frame(example_batch(), example_values, 4, type);
    for (std::size_t bytes = 0; bytes < whole.body.size(); ++bytes) {
      Frame cut = whole;
      cut.body.resize(bytes);
      EXPECT_FALSE(decode(cut).status) << bytes;
    }
    Frame longer = whole;
    longer.body.push_back(std::byte{0});
    EXPECT_FALSE(decode(longer).status);
  }
}

// Overwrites the u32 at `at`.
Decoded decode_with(std::size_t at, std::uint32_t value) {
  Frame frame = step_frame(example_batch(), example_values, 4, ActivationType::f32);
  std::memcpy(frame.body.data() + at, &value, 4);
  return decode(frame);
}

TEST(Step, LyingCountsAreRefusedBeforeAnythingIsAllocated) {
  for (std::size_t at = 0; at < 32; at += 4) {
    for (const std::uint32_t value : {3u, 513u, 0x10000u, 0x7fffffffu, 0xffffffffu}) {
      if (at == 24 && value <= 1) continue;
      const Decoded decoded = decode_with(at, value);
      ASSERT_FALSE(decoded.status) << at << " " << value;
      EXPECT_LT(decoded.activations.values.capacity(), 1000u);
      EXPECT_LT(decoded.batch.rows.capacity(), 1000u);
    }
  }
}

TEST(Step, NumbersOutsideTheModelAreRefused) {
  EXPECT_FALSE(decode_with(32, limits::sequences_max).status);           // a row's sequence
  EXPECT_FALSE(decode_with(36, limits::context_tokens_max).status);      // its position
  EXPECT_FALSE(decode_with(40, limits::vocabulary_max).status);          // its token
  EXPECT_FALSE(decode_with(40, 0xffffffffu).status);                     // a negative token
  EXPECT_FALSE(decode_with(44, 2).status);                               // the likeliest of no logits
  EXPECT_FALSE(decode_with(44, 4).status);                               // a flag nobody knows
  EXPECT_FALSE(decode_with(64, limits::sequences_max).status);           // a sequence to free
  EXPECT_FALSE(decode_with(72, limits::context_tokens_max + 1).status);  // positions to keep
  EXPECT_FALSE(decode_with(80, limits::sequences_max).status);           // a copy's target
  EXPECT_TRUE(decode_with(32, limits::sequences_max - 1).status);
}

TEST(Step, RandomBytesNeverDecodeIntoNonsense) {
  std::mt19937 random(7);
  StepBatch batch;
  Activations activations;
  for (int round = 0; round < 100'000; ++round) {
    Frame frame = step_frame(example_batch(), example_values, 4, ActivationType::f32);
    for (int change = 0; change < 3; ++change) frame.body[random() % 92] = static_cast<std::byte>(random());
    if (!decode_step(frame.header, frame.body, batch, activations)) continue;
    ASSERT_LE(batch.rows.size(), limits::step_rows_max);
    ASSERT_EQ(activations.values.size(), std::size_t{activations.rows} * activations.width);
    for (const StepRow& row : batch.rows) ASSERT_LT(row.sequence.value, limits::sequences_max);
  }
}

// The hex digits of the block of this name in docs/wire.md; what follows a # explains.
std::string documented(const std::string& block) {
  std::ifstream file(FLOTILLA_SOURCE_DIR "/docs/wire.md");
  std::string line, hex;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.starts_with("```"))
      inside = line == "```" + block;
    else if (inside)
      std::ranges::copy_if(line.substr(0, line.find('#')), std::back_inserter(hex), isxdigit);
  }
  return hex;
}

TEST(Step, TheExampleInTheDocumentationIsWhatIsSent) {
  const Frame frame = step_frame(example_batch(), example_values, 4, ActivationType::f32);
  const auto header = header_bytes_of(frame);
  EXPECT_EQ(documented("step-frame"), to_hex(header) + to_hex(frame.body));
}

// --- Likeliest tokens ----------------------------------------------------------------------------

const LikeliestSlice example_slice{.first = 16000, .end = 32000, .rows = {{16005, 12.5f}, {31999, -0.25f}}};

TEST(Likeliest, ASliceReadsBackAndIsTheExampleInTheDocumentation) {
  const Bytes body = encode(example_slice);
  EXPECT_EQ(documented("likeliest-body"), to_hex(body));
  LikeliestSlice read;
  ASSERT_TRUE(decode_likeliest(body, read));
  EXPECT_EQ(read.first, example_slice.first);
  EXPECT_EQ(read.end, example_slice.end);
  EXPECT_EQ(read.rows, example_slice.rows);
}

// What decoding says of the example with another row.
Status decoded_with(LikeliestToken row) {
  LikeliestSlice slice = example_slice;
  slice.rows[1] = row;
  return decode_likeliest(encode(slice), slice);
}

TEST(Likeliest, ATokenOutsideItsSliceAndWhatIsNoNumberAreRefused) {
  EXPECT_TRUE(decoded_with({16000, -std::numeric_limits<float>::infinity()})) << "of no token but minus infinity";
  for (const TokenId token : {15999, 32000, -1}) EXPECT_EQ(decoded_with({token, 1}).error().code, Code::corrupt);
  const auto refused = decoded_with({16001, std::numeric_limits<float>::quiet_NaN()});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("expected one of the tokens [16000, 32000) and its logit"));
}

TEST(Likeliest, ABodyThatContradictsItselfIsRefused) {
  const Bytes whole = encode(example_slice);
  LikeliestSlice read;
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const bool whole_rows = bytes == 8 || bytes == 16;
    EXPECT_EQ(decode_likeliest(std::span(whole).first(bytes), read).has_value(), whole_rows) << bytes;
  }
  for (const auto& [first, end] : {std::pair{5u, 5u}, {9u, 5u}, {0u, limits::vocabulary_max + 1}})
    EXPECT_FALSE(decode_likeliest(encode(LikeliestSlice{first, end, {}}), read)) << first << " " << end;
  const Bytes long_one(8 + (limits::logits_rows_max + 1) * 8);
  EXPECT_FALSE(decode_likeliest(long_one, read));
}

}  // namespace
}  // namespace flotilla
