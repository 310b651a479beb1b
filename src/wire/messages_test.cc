// Claims about the CBOR messages: each reads back as it was written, and a body that lies is refused without harm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "base/embed_limits.h"
#include "base/limits.h"
#include "wire/control.h"
#include "wire/embedding.h"
#include "wire/generate.h"
#include "wire/joining.h"
#include "wire/node_info.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

NodeId node(std::uint8_t number) {
  NodeId id;
  id.bytes.fill(number);
  return id;
}

const std::string fingerprint(64, 'a');

Placement some_placement() {
  return {.id = {77},
          .epoch = {1700000000000000, 3},
          .model = "SmolLM2",
          .fingerprint = fingerprint,
          .state = PlacementState::ready,
          .detail = "copying 41 of 98 MB to laptop",
          .stages = {{{node(1)}, {0, 15}, 1, 2, 3}, {{node(2)}, {15, 30}, 4, 5, 6, {15}}},
          .context_tokens = 4096,
          .sequences = 4};
}

HubOrigin some_origin() {
  return {.repository = "org/name", .commit = std::string(40, 'c'), .files = {{"a/m.gguf", 98 << 20, fingerprint}}};
}

NodeInfo some_node() {
  return {.id = node(9),
          .name = "stüdio",
          .version = "0.1.0",
          .incarnation = UINT64_MAX,
          .revision = 4,
          .memory_bytes = 24ull << 30,
          .memory_free_bytes = 1,
          .devices = {{"CPU", "AMD EPYC", 8, 64ull << 30}},
          .models = {{"SmolLM2", fingerprint, 98 << 20, true}, {"gemma", fingerprint, 1, false}},
          .placements = {some_placement()},
          .api_port = 52415,
          .cluster_port = 52414,
          .rates = {.shards = 2,
                    .threads_per_shard = 1,
                    .kernels = {{"Q4_K", std::vector<double>(kernel_rows.size(), 0.05)}},
                    .memory_bytes_per_second = 4e10,
                    .layer_seconds = 2e-5,
                    .attention_bytes_per_second = 1e10,
                    .attention_prompt_bytes_per_second = 3e10},
          .links = {{node(8), 1e-4, 1.2e8, "eth0"}},
          .waiting = {{"tiny", 3, "2 GiB are missing"}},
          .standby_bytes = 1u << 30,
          .standbys = {{"tiny", std::string(64, 'b'), 5, 9}},
          .keeps_constraints = true,
          .on_battery = true,
          .battery_percent = 43};
}

GenerateRequest some_request() {
  GenerateRequest request{.id = {UINT64_MAX - 1}, .placement = {77}, .choice = 2, .prompt = {0, 1, 65536, 1048575}};
  request.tokens_max = 128;
  request.stop_tokens = {2, 0};
  request.sampling = {.temperature = 0.7f,
                      .top_k = 40,
                      .top_p = 0.9f,
                      .min_p = 0.05f,
                      .repetition_penalty = 1.1f,
                      .presence_penalty = -2,
                      .frequency_penalty = 0.1f,
                      .repetition_window = -1,
                      .seed = UINT64_MAX,
                      .logit_bias = {{5, -100.0f}, {6, 0.3f}}};
  request.top_logprobs = 5;
  request.cache_scope = UINT64_MAX;
  request.constraint = {ConstraintKind::json_schema, "{\"type\":\"object\"}\n\t"};
  request.speculate = false;
  request.prompt_logprobs = true;
  request.request_class = RequestClass::batch;
  request.deadline_ms = 1700000000000;
  return request;
}

json json_of(const Bytes& body) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(body.data());
  return json::from_cbor(bytes, bytes + body.size());
}

Bytes bytes_from(const json& value) {
  const auto octets = json::to_cbor(value);
  const auto bytes = std::as_bytes(std::span(octets));
  return {bytes.begin(), bytes.end()};
}

Bytes bytes_from(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// --- Round trips ---------------------------------------------------------------------------------

TEST(Messages, NodesAndPlacementsReadBack) {
  const auto info = decode_node_info(encode(some_node()));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(*info, some_node());
}

TEST(Messages, RequestsAndEventsReadBack) {
  const auto request = decode_generate_request(encode(some_request()));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(*request, some_request());

  TokenEvent event{.id = {3}, .index = -7, .has_token = true, .token = 99, .logprob = -0.1234567f};
  event.top = {{99, -0.1234567f}, {7, -12.5f}};
  event.finish = FinishReason::failed;
  event.error = Error{Code::unavailable, "stage 1 is gone"};
  event.goes_on = GoesOn::broken_off;
  const auto read = decode_token_event(encode(event));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->id, event.id);
  EXPECT_EQ(read->index, -7);
  EXPECT_TRUE(read->has_token);
  EXPECT_EQ(read->token, 99);
  EXPECT_EQ(read->logprob, event.logprob);
  EXPECT_EQ(read->top, event.top);
  EXPECT_EQ(read->finish, FinishReason::failed);
  EXPECT_EQ(read->goes_on, GoesOn::broken_off);
  ASSERT_TRUE(read->error);
  EXPECT_EQ(read->error->code, Code::unavailable);
  EXPECT_EQ(read->error->message, "stage 1 is gone");
  EXPECT_FALSE(decode_token_event(encode(TokenEvent{}))->error);
  EXPECT_EQ(decode_cancel(encode(CancelRequest{{42}}))->id, RequestId{42});
}

// Control messages have no equality of their own: encoded twice they must give the same bytes, which names every field.
template <class T, class Decode>
void expect_round_trip(const T& message, Decode decode) {
  const Bytes body = encode(message);
  const auto read = decode(body);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(encode(*read), body);
  EXPECT_NE(body, encode(T{}));
}

TEST(Messages, ControlMessagesReadBack) {
  const PlacementId placement{5};
  const Epoch epoch{6, 7};
  expect_round_trip(LoadModel{1,
                              "m",
                              {"studio", "laptop"},
                              {20, 10},
                              "pipeline",
                              4096,
                              4,
                              2,
                              "laptop is slow",
                              true,
                              fingerprint,
                              some_origin()},
                    decode_load_model);
  expect_round_trip(LoadProgress{1, "copying\n", 2, 3, "studio"}, decode_load_progress);
  expect_round_trip(LoadResult{1, true, some_placement(), "", ""}, decode_load_result);
  expect_round_trip(LoadResult{1, false, {}, "no_memory", "needs 3 GiB more"}, decode_load_result);
  expect_round_trip(UnloadModel{1, "m", true}, decode_unload_model);
  expect_round_trip(PrepareStage{placement,
                                 epoch,
                                 "m",
                                 fingerprint,
                                 {"/models/ä b.gguf"},
                                 1,
                                 2,
                                 {3, 9},
                                 true,
                                 4096,
                                 4,
                                 8,
                                 ActivationType::bf16,
                                 "00ff",
                                 node(3),
                                 {0.5, 0.25, 0.25},
                                 1,
                                 2,
                                 1,
                                 2,
                                 1.25e8,
                                 some_origin(),
                                 {{0, 5, 6}, {1, 1ull << 40, 8}},
                                 {node(4), node(5)},
                                 false,
                                 {0.03, 0.05, 0.09}},
                    decode_prepare_stage);
  expect_round_trip(StageReady{placement, epoch, 1, 2, 50000, 2, 3, 4}, decode_stage_ready);
  expect_round_trip(ConnectRing{placement, epoch, node(3), 50000, "fe80::1%eth0", {{node(4), 50001, "10.0.0.4"}}},
                    decode_connect_ring);
  expect_round_trip(RingConnected{placement, epoch, 1, 2}, decode_ring_connected);
  expect_round_trip(StopStage{placement, epoch}, decode_stop_stage);
  expect_round_trip(StageFailed{placement, epoch, 1, "no_memory", "why"}, decode_stage_failed);
  expect_round_trip(RingHello{placement, epoch, 1, "00ff", 2}, decode_ring_hello);
  expect_round_trip(StageStats{placement, 1, 3, 2, 3, 4, 4.5, 5.25, 6, 7, 8, 8.5, 9.5, 0.5, 10, 11, 12},
                    decode_stage_stats);
  expect_round_trip(IsHeard{node(3)}, decode_is_heard);
  expect_round_trip(Heard{node(3), true, 250}, decode_heard);
  expect_round_trip(RunnerPulse{3, 4.5, 1.25, 0.5}, decode_runner_pulse);
  expect_round_trip(HeaderRequest{"m", fingerprint, 1}, decode_header_request);
  expect_round_trip(RangeRequest{"m", fingerprint, 1, 1ull << 40, 9, true}, decode_range_request);
  expect_round_trip(RateRequest{limits::rate_bytes_max}, decode_rate_request);
  expect_round_trip(RangeEnd{true, 1, 2, 3, fingerprint, "corrupt", "why"}, decode_range_end);
  expect_round_trip(Goodbye{"restarting"}, decode_goodbye);
}

TEST(Requests, TheLikeliestIsEnoughOnlyWhereNothingElseOfTheLogitsCounts) {
  const GenerateRequest greedy{.sampling = {.temperature = 0}};
  EXPECT_TRUE(likeliest_is_enough(greedy));
  const auto with = [&](const auto& change) {
    GenerateRequest request = greedy;
    change(request);
    return likeliest_is_enough(request);
  };
  EXPECT_TRUE(with([](auto& request) { request.sampling.top_k = 40; })) << "narrows what the best is always of";
  EXPECT_TRUE(with([](auto& request) { request.sampling.top_p = 0.5f; }));
  EXPECT_FALSE(with([](auto& request) { request.sampling.temperature = 0.1f; }));
  EXPECT_FALSE(with([](auto& request) { request.top_logprobs = 0; }));
  EXPECT_FALSE(with([](auto& request) { request.sampling.logit_bias = {{5, 1.0f}}; }));
  EXPECT_FALSE(with([](auto& request) { request.sampling.repetition_penalty = 1.1f; }));
  EXPECT_FALSE(with([](auto& request) { request.sampling.presence_penalty = 0.5f; }));
  EXPECT_FALSE(with([](auto& request) { request.sampling.frequency_penalty = -0.5f; }));
}

TEST(Messages, AResumedAnswerIsShorterThanItsBudgetAndFitsAContextWithItsPrompt) {
  GenerateRequest request = some_request();
  request.prompt_logprobs = false;
  request.resumed = {9, 0, 1048575};
  EXPECT_EQ(decode_generate_request(encode(request)).value(), request);
  GenerateRequest whole = request, scored = request, long_one = request;
  whole.tokens_max = 3;
  scored.prompt_logprobs = true;
  long_one.tokens_max = INT32_MAX;
  long_one.resumed.assign(limits::context_tokens_max - 3, 7);
  for (const auto& refused : {whole, scored, long_one}) {
    const auto read = decode_generate_request(encode(refused));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::corrupt);
    EXPECT_THAT(read.error().message, HasSubstr("generate.resumed"));
  }
  long_one.resumed.pop_back();
  EXPECT_LE(encode(long_one).size(), limits::control_body_bytes_max);
  EXPECT_TRUE(decode_generate_request(encode(long_one)));
  json older = json_of(encode(request));
  older.erase("resumed");
  EXPECT_TRUE(decode_generate_request(bytes_from(older))->resumed.empty());
}

TEST(Messages, TheLongestPromptFitsAControlFrame) {
  GenerateRequest request = some_request();
  request.prompt.assign(limits::context_tokens_max, static_cast<TokenId>(limits::vocabulary_max) - 1);
  const Bytes body = encode(request);
  EXPECT_LE(body.size(), limits::control_body_bytes_max);
  EXPECT_EQ(decode_generate_request(body).value(), request);
  request.prompt.push_back(1);
  EXPECT_EQ(decode_generate_request(encode(request)).error().code, Code::too_large);
}

// --- Newer and older peers -----------------------------------------------------------------------

TEST(Messages, AFieldOfANewerReleaseIsIgnored) {
  json map = json_of(encode(some_node()));
  map["colour"] = {{"deep", {1, 2, nullptr}}};
  map["devices"][0]["price"] = 3.5;
  EXPECT_EQ(decode_node_info(bytes_from(map)).value(), some_node());
}

TEST(Messages, AFieldThatAnOlderReleaseDoesNotSendHasItsDefault) {
  GenerateRequest request = some_request();
  request.cache_scope = 7;
  request.speculate = false;
  json map = json_of(encode(request));
  map.erase("cache_scope");
  map.erase("speculate");
  const auto older = decode_generate_request(bytes_from(map)).value();
  EXPECT_EQ(older.cache_scope, 0u);
  EXPECT_TRUE(older.speculate);
  EXPECT_EQ(older.constraint, request.constraint);
  map.erase("constraint");
  EXPECT_FALSE(decode_generate_request(bytes_from(map)).value().constraint.any());
  map["speculate"] = "yes";
  EXPECT_EQ(decode_generate_request(bytes_from(map)).error().code, Code::corrupt) << "what is there is checked";
}

TEST(Messages, AConstraintIsOfAKnownKindHasABoundAndAnEnd) {
  json map = json_of(encode(some_request()));
  map["constraint"]["kind"] = 5;
  EXPECT_FALSE(decode_generate_request(bytes_from(map))) << "what it does not know it cannot keep to";
  map["constraint"] = {{"kind", 3}, {"text", std::string(limits::constraint_bytes_max, 'a')}};
  EXPECT_TRUE(decode_generate_request(bytes_from(map)));
  map["constraint"]["text"] = std::string(limits::constraint_bytes_max + 1, 'a');
  EXPECT_EQ(decode_generate_request(bytes_from(map)).error().code, Code::too_large);
  map["constraint"]["text"] = "a";
  map["stop_tokens"] = json::array();
  EXPECT_FALSE(decode_generate_request(bytes_from(map)));
}

TEST(Messages, WhoBelongsReadsBackAlsoFromAReleaseThatListsNoTokens) {
  const TrustAnswer answer{
      .ticket = 7,
      .ok = true,
      .tokens = {{.token = {std::byte{1}}, .ends = 1'800'000'000, .uses = 20, .used = 3, .maker = random_node_id()}}};
  const auto read = decode_trust_answer(encode(answer)).value();
  ASSERT_EQ(read.tokens.size(), 1u);
  EXPECT_EQ(read.tokens[0].token, answer.tokens[0].token);
  EXPECT_EQ(read.tokens[0].ends, answer.tokens[0].ends);
  EXPECT_EQ(read.tokens[0].maker, answer.tokens[0].maker);
  auto older = nlohmann::json::from_cbor(encode(answer));
  older.erase("tokens");
  const auto bytes = nlohmann::json::to_cbor(older);
  EXPECT_TRUE(decode_trust_answer(std::as_bytes(std::span(bytes)))->tokens.empty());
  older["tokens"] = nlohmann::json::array({{{"token", 1}}});
  const auto wrong = nlohmann::json::to_cbor(older);
  EXPECT_FALSE(decode_trust_answer(std::as_bytes(std::span(wrong))));
  const auto told = decode_revocations(encode(Revocations{.list = Bytes(9), .membership = Bytes(400)})).value();
  EXPECT_EQ(told.list.size(), 9u);
  EXPECT_EQ(told.membership.size(), 400u);
  EXPECT_FALSE(decode_revocations(encode(Revocations{.list = {}, .membership = Bytes(5000)})));
}

TEST(Messages, AMissingFieldIsRefusedByName) {
  const json whole = json_of(encode(some_node()));
  for (const auto& [key, value] : whole.items()) {
    json map = whole;
    map.erase(key);
    const auto info = decode_node_info(bytes_from(map));
    // An older release does not send them.
    const bool was_added = std::ranges::contains(std::array{"rates", "links", "waiting", "standby_bytes", "standbys",
                                                            "on_battery", "battery_percent", "keeps_constraints"},
                                                 key);
    ASSERT_EQ(info.has_value(), was_added) << key;
    if (was_added) continue;
    EXPECT_EQ(info.error().code, Code::corrupt);
    EXPECT_THAT(info.error().message, HasSubstr("'" + key + "' in node_info"));
  }
}

TEST(Messages, AnErrorCodeOfANewerReleaseIsReadAsInternal) {
  json map = json_of(encode(TokenEvent{}));
  map["error"] = {{"code", "too_sunny"}, {"message", "hot"}};
  EXPECT_EQ(decode_token_event(bytes_from(map))->error->code, Code::internal);
}

// --- Bodies that lie -----------------------------------------------------------------------------

TEST(Messages, EveryFieldOfAWrongTypeIsRefused) {
  const json whole = json_of(encode(some_request()));
  for (const auto& [key, value] : whole.items()) {
    for (const json& other : {json(nullptr), json("text"), json(1e300), json::array({json::array()}), json::object()}) {
      json map = whole;
      map[key] = other;
      EXPECT_FALSE(decode_generate_request(bytes_from(map))) << key << " = " << other;
    }
  }
}

// What decoding says when the value at `pointer` of a good request is another.
Error error_with(const char* pointer, const json& value) {
  json map = json_of(encode(some_request()));
  map[json::json_pointer(pointer)] = value;
  const auto request = decode_generate_request(bytes_from(map));
  return request ? Error{Code::internal, "was taken"} : request.error();
}

TEST(Messages, NumbersOutOfRangeAreRefusedWithTheirPlace) {
  const auto error = error_with("/sampling/top_p", 1.5);
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, AllOf(HasSubstr("from 0 to 1"), HasSubstr("generate.sampling.top_p"), HasSubstr("1.5")));
  EXPECT_THAT(error_with("/sampling/logit_bias/1/bias", 101).message,
              HasSubstr("generate.sampling.logit_bias[1].bias"));
  EXPECT_EQ(error_with("/sampling/temperature", NAN).code, Code::corrupt);
  EXPECT_EQ(error_with("/sampling/temperature", INFINITY).code, Code::corrupt);
  EXPECT_EQ(error_with("/sampling/presence_penalty", 1e39).code, Code::corrupt);
  EXPECT_EQ(error_with("/sampling/repetition_penalty", 0).code, Code::corrupt);
  EXPECT_EQ(error_with("/choice", -1).code, Code::corrupt);
  EXPECT_EQ(error_with("/choice", limits::choices_max).code, Code::corrupt);
  EXPECT_EQ(error_with("/tokens_max", 0).code, Code::corrupt);
  EXPECT_EQ(error_with("/tokens_max", UINT64_MAX).code, Code::corrupt);
  EXPECT_EQ(error_with("/top_logprobs", UINT64_MAX).code, Code::corrupt);
  EXPECT_EQ(error_with("/top_logprobs", INT64_MIN).code, Code::corrupt);
  EXPECT_EQ(error_with("/request_class", 2).code, Code::corrupt);
  EXPECT_EQ(error_with("/stop_tokens/0", -1).code, Code::corrupt);
  EXPECT_EQ(error_with("/stop_tokens/0", limits::vocabulary_max).code, Code::corrupt);
  EXPECT_EQ(error_with("/prompt", json::binary({})).code, Code::corrupt);
  EXPECT_EQ(error_with("/prompt", json::binary({1, 2})).code, Code::corrupt);
  EXPECT_EQ(error_with("/prompt", json::binary({0xff, 0xff, 0xff})).code, Code::corrupt);
  EXPECT_EQ(error_with("/choice", 0).message, "was taken");
}

TEST(Messages, ListsBeyondTheirLimitAreRefused) {
  EXPECT_EQ(error_with("/sampling/logit_bias", json(limits::logit_bias_max + 1, {{"token", 1}, {"bias", 1}})).code,
            Code::too_large);
  LoadModel load{.model = "m", .nodes = std::vector<std::string>(limits::nodes_max + 1, "n")};
  EXPECT_EQ(decode_load_model(encode(load)).error().code, Code::too_large);
  NodeInfo info = some_node();
  info.devices.clear();
  EXPECT_EQ(decode_node_info(encode(info)).error().code, Code::corrupt);
  info = some_node();
  info.placements[0].stages.clear();
  EXPECT_EQ(decode_node_info(encode(info)).error().code, Code::corrupt);
  info = some_node();
  info.placements[0].stages[1].layers = {9, 3};
  EXPECT_THAT(decode_node_info(encode(info)).error().message, HasSubstr("node_info.placements[0].stages[1].layers"));
}

TEST(Messages, NamesThatATerminalOrAFileSystemWouldObeyAreRefused) {
  const auto with_name = [](std::string name) {
    NodeInfo info = some_node();
    info.name = std::move(name);
    return decode_node_info(encode(info)).has_value();
  };
  EXPECT_TRUE(with_name("日本 🚢"));
  EXPECT_TRUE(with_name(std::string(256, 'x')));
  EXPECT_FALSE(with_name(std::string(257, 'x')));
  for (const char* name : {"\x1b[2J", "a\nb", "\x7f",
                           "\xc2\x9b"
                           "31m",
                           "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_FALSE(with_name(name)) << name;
  }
  RangeRequest range{.model = "m", .fingerprint = "../../etc/passwd"};
  EXPECT_FALSE(decode_range_request(encode(range)));
  range = {.model = "m", .fingerprint = fingerprint, .offset = UINT64_MAX, .bytes = 1};
  EXPECT_FALSE(decode_range_request(encode(range)));
}

TEST(Messages, ProseIsMadeTidyRatherThanRefused) {
  const auto reason = decode_goodbye(encode(Goodbye{"caf\xc3\xa9 \xff\x1b[2J\tend\n"}))->reason;
  EXPECT_EQ(reason, "caf\xc3\xa9 ??[2J\tend\n");
  EXPECT_EQ(decode_goodbye(encode(Goodbye{std::string(20000, 'x')}))->reason, std::string(8192, 'x'));
  // A peer that did not tidy.
  EXPECT_EQ(decode_goodbye(bytes_from(json{{"reason", "a\x1b"}}))->reason, "a?");
  EXPECT_EQ(decode_goodbye(bytes_from(json{{"reason", std::string(8193, 'x')}})).error().code, Code::too_large);
}

TEST(Messages, ABodyThatIsNoPlainMapIsRefused) {
  EXPECT_FALSE(decode_goodbye({}));
  EXPECT_FALSE(decode_goodbye(bytes_from(json::array({1}))));
  EXPECT_FALSE(decode_goodbye(bytes_from(json(5))));
  EXPECT_FALSE(decode_goodbye(bytes_from({0xbf, 0xff})));                                    // indefinite length
  EXPECT_FALSE(decode_goodbye(bytes_from({0xc1, 0xa0})));                                    // a tag
  EXPECT_FALSE(decode_goodbye(bytes_from({0xa1, 0x01, 0x02})));                              // a key that is no string
  EXPECT_FALSE(decode_goodbye(bytes_from({0xa0, 0x00})));                                    // bytes behind the end
  EXPECT_FALSE(decode_goodbye(bytes_from({0x9b, 255, 255, 255, 255, 255, 255, 255, 255})));  // 2^64 items
  EXPECT_FALSE(decode_goodbye(bytes_from({0xbb, 255, 255, 255, 255, 255, 255, 255, 255})));
  EXPECT_FALSE(decode_goodbye(bytes_from({0x7b, 255, 255, 255, 255, 255, 255, 255, 255})));
}

TEST(Messages, DeepNestingIsRefusedWithoutRecursion) {
  for (const int byte : {0x81, 0x7f, 0x5f, 0x9f, 0xbf, 0xc1}) {
    EXPECT_EQ(decode_goodbye(Bytes(limits::control_body_bytes_max, static_cast<std::byte>(byte))).error().code,
              Code::corrupt);
  }
  Bytes many = bytes_from({0x9a, 0x00, 0x3f, 0xff, 0xf0});
  many.resize(5 + 0x3ffff0, std::byte{0x80});  // four million empty lists
  EXPECT_THAT(decode_goodbye(many).error().message, HasSubstr("too many items"));
}

TEST(Messages, ABodyCutAnywhereIsRefused) {
  const Bytes bodies[] = {encode(some_node()), encode(some_request()),
                          encode(LoadResult{1, true, some_placement(), "", ""})};
  for (const Bytes& body : bodies) {
    for (std::size_t bytes = 0; bytes < body.size(); ++bytes) {
      const auto cut = std::span(body).first(bytes);
      EXPECT_FALSE(decode_node_info(cut));
      EXPECT_FALSE(decode_generate_request(cut));
      EXPECT_FALSE(decode_load_result(cut));
    }
  }
}

TEST(Messages, RandomAndDamagedBodiesDoNoHarm) {
  std::mt19937 random(11);
  const Bytes request = encode(some_request());
  for (int round = 0; round < 100'000; ++round) {
    Bytes body(random() % 64);
    std::ranges::generate(body, [&] { return static_cast<std::byte>(random()); });
    EXPECT_FALSE(decode_prepare_stage(body));
  }
  for (int round = 0; round < 20'000; ++round) {
    Bytes body = request;
    for (int change = 0; change < 2; ++change) body[random() % body.size()] = static_cast<std::byte>(random());
    const auto read = decode_generate_request(body);
    EXPECT_TRUE(!read || (std::isfinite(read->sampling.temperature) && read->choice < limits::choices_max));
  }
}

TEST(Embedding, TextsAndVectorsReadBackAsTheyWereWritten) {
  const EmbedRequest request{.id = {3}, .placement = {4}, .texts = {{101, 30521, 102}, {0}}};
  EXPECT_EQ(decode_embed_request(encode(request)), request);
  const EmbedResult result{.id = {3}, .length = 2, .vectors = Bytes(16, std::byte{7}), .error = {}};
  const auto vectors = decode_embed_result(encode(result));
  ASSERT_TRUE(vectors) << vectors.error().message;
  EXPECT_EQ(encode(*vectors), encode(result));
  const EmbedResult failed{.id = {3}, .vectors = {}, .error = Error{Code::busy, "full"}, .goes_on = GoesOn::not_begun};
  const auto read = decode_embed_result(encode(failed));
  ASSERT_TRUE(read && read->error) << read.error().message;
  EXPECT_EQ(read->error->message, "full");
  EXPECT_EQ(read->goes_on, GoesOn::not_begun);
}

TEST(Embedding, ABatchWithoutTokensAndVectorsThatAreCutOffAreRefused) {
  const auto why = [](const auto& read) { return read ? std::string() : read.error().message; };
  EXPECT_THAT(why(decode_embed_request(encode(EmbedRequest{.id = {1}, .texts = {{5}, {}}}))),
              HasSubstr("a token at least"));
  EXPECT_THAT(why(decode_embed_request(encode(EmbedRequest{.id = {1}, .texts = {}}))), HasSubstr("texts"));
  const std::vector<TextTokens> many(limits::embed_batch_texts_max + 1, TextTokens{1});
  EXPECT_THAT(why(decode_embed_request(encode(EmbedRequest{.id = {1}, .texts = many}))),
              HasSubstr("a list of 1 to 128"));
  EXPECT_THAT(why(decode_embed_result(encode(EmbedResult{.id = {1}, .length = 3, .vectors = Bytes(16), .error = {}}))),
              HasSubstr("cut off"));
  EXPECT_THAT(why(decode_embed_result(encode(EmbedResult{.id = {1}, .vectors = Bytes(16), .error = {}}))),
              HasSubstr("cut off"));
  EXPECT_THAT(why(decode_embed_result(encode(EmbedResult{.id = {1}, .vectors = {}, .error = {}}))),
              HasSubstr("vectors or an error"));
}

}  // namespace
}  // namespace flotilla
