// Claims about constrained answers in whole rings of scripted stages: what the model would rather say is forbidden, and
// the answer is right all the same, with guesses, in any company, and taken up elsewhere.
#include "pipeline/constraints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "pipeline/local_ring.h"
#include "pipeline/runner.h"
#include "pipeline/scripted_stage.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

constexpr std::chrono::milliseconds patience{20'000};

// Tokens are the bytes of ASCII, then "<|end|>".
constexpr TokenId end_token = 128;
constexpr ScriptedModel model{.layers = 6, .width = 8, .vocabulary = 129};

// As much of a tokenizer as constraints need.
class AsciiTokenizer final : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::span<const TextPiece> pieces, bool) const override {
    std::vector<TokenId> tokens;
    for (const auto& piece : pieces)
      for (const char c : piece.text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  }
  std::string piece(TokenId token, bool) const override {
    return token < end_token ? std::string(1, static_cast<char>(token)) : "<|end|>";
  }
  std::string decode(std::span<const TokenId> tokens, bool show_special) const override {
    std::string text;
    for (const TokenId token : tokens) text += piece(token, show_special);
    return text;
  }
  std::uint32_t size() const override { return end_token + 1; }
  TokenId bos() const override { return -1; }
  TokenId eos() const override { return end_token; }
  bool adds_bos() const override { return false; }
  bool strips_leading_space() const override { return false; }
  const std::vector<TokenId>& end_of_generation() const override { return ends_; }
  const std::string& chat_template() const override { return none_; }
  TokenKind kind(TokenId token) const override { return token == end_token ? TokenKind::control : TokenKind::normal; }
  TokenId find(std::string_view text) const override { return text == "<|end|>" ? end_token : -1; }
  std::size_t token_bytes_max() const override { return 7; }
  const std::vector<std::string>& reserved_texts() const override { return reserved_; }

 private:
  const std::vector<TokenId> ends_{end_token};
  const std::vector<std::string> reserved_{"<|end|>"};
  const std::string none_;
};

std::string text_of(const std::vector<TokenId>& tokens) { return AsciiTokenizer().decode(tokens, true); }

// The model's wish is a token that depends on all before it, and hardly ever one that is allowed.
StageLoader scripted() {
  return [](const PrepareStage& plan, const LoadProgressFn&,
            std::unique_ptr<Collective>) -> Result<std::unique_ptr<Stage>> {
    return make_scripted_stage({.model = model,
                                .layers = plan.layers,
                                .is_head = plan.is_head,
                                .logit =
                                    [](std::uint32_t value, std::uint32_t token) {
                                      return static_cast<float>((value * 31 + token * 2'654'435'761u) >> 8 & 0xff) / 32;
                                    },
                                .sequences = plan.sequences,
                                .context_tokens = plan.context_tokens,
                                .before_step = {}});
  };
}

RunnerOptions options() {
  return {.link_model = "",
          .spin_us = 0,
          .grace = std::chrono::seconds(60),
          .load_tokenizer = [](const PrepareStage&) -> Result<std::shared_ptr<const Tokenizer>> {
            return std::make_shared<AsciiTokenizer>();
          }};
}

GenerateRequest request(std::uint64_t id, ConstraintSource constraint, float temperature = 1) {
  GenerateRequest made;
  made.id = RequestId{id};
  made.prompt = {72, 105, static_cast<TokenId>(id % 100)};
  made.tokens_max = 200;
  made.stop_tokens = {end_token};
  made.sampling.temperature = temperature;
  made.sampling.seed = id;
  made.constraint = std::move(constraint);
  return made;
}

const ConstraintSource dates{ConstraintKind::regex, "20[0-9]{2}-(0[1-9]|1[0-2])-([0-2][0-9])"};
const ConstraintSource lists{ConstraintKind::json_schema,
                             R"({"type":"array","items":{"enum":["red","green"]},"minItems":2,"maxItems":4})"};
constexpr const char* is_date = "20[0-9][0-9]-[01][0-9]-[0-2][0-9]";

class Rings : public testing::TestWithParam<std::uint32_t> {
 protected:
  Rings() : runners_(options(), scripted()) {
    LocalRingOptions of_ring;
    of_ring.stages = even_stages(model.layers, GetParam());
    of_ring.patience = patience;
    ring_ = LocalRing::form(runners_, of_ring);
  }
  std::map<RequestId, LocalRing::Answer> answers(const std::vector<GenerateRequest>& requests) {
    EXPECT_TRUE(ring_) << ring_.error().message;
    for (const auto& each : requests) EXPECT_TRUE(ring_->send(each));
    auto all = ring_->answers(requests.size());
    EXPECT_TRUE(all) << all.error().message;
    return all ? *all : std::map<RequestId, LocalRing::Answer>{};
  }

  ThreadRunners runners_;
  Result<LocalRing> ring_ = fail(Code::internal, "not formed");
};

INSTANTIATE_TEST_SUITE_P(Constraints, Rings, testing::Values(1, 3));

TEST_P(Rings, EveryAnswerKeepsToItsConstraintAndEndsByItself) {
  std::vector<GenerateRequest> requests;
  for (std::uint64_t id = 1; id <= 24; ++id)
    requests.push_back(request(id, id % 2 == 0 ? dates : lists, id % 3 == 0 ? 0 : 1));
  requests[4].sampling.top_k = 1;
  requests[6].sampling.top_p = 0.01f;
  requests[8].sampling.min_p = 0.9f;
  requests[10].sampling.logit_bias = {{'2', -100.0f}};
  requests[11].sampling.repetition_penalty = 5;
  requests[12].top_logprobs = 3;
  for (const auto& [id, answer] : answers(requests)) {
    EXPECT_EQ(answer.end.finish, FinishReason::stop) << id.value << text_of(answer.tokens);
    if (id.value % 2 == 0) {
      EXPECT_THAT(text_of(answer.tokens), testing::MatchesRegex(is_date)) << id.value;
    } else {
      EXPECT_THAT(text_of(answer.tokens), testing::MatchesRegex("\\[.*(red|green).*\\]")) << id.value;
    }
  }
}

TEST_P(Rings, GuessesChangeNothing) {
  std::vector<GenerateRequest> requests;
  const ConstraintSource words{ConstraintKind::regex, "((ab|cd|ef)+ ){6}"};
  for (std::uint64_t id = 1; id <= 8; ++id) {
    // Beginnings that the prompt has already, followed by what is allowed and by what is not.
    for (const bool speculate : {true, false}) {
      requests.push_back(request(speculate ? id : id + 100, words));
      requests.back().sampling.seed = id;
      requests.back().speculate = speculate;
      requests.back().prompt =
          AsciiTokenizer().Tokenizer::encode("ababab cdab efefcd ab cd efab ababx cd, ab", false, false);
    }
  }
  const auto all = answers(requests);
  for (std::uint64_t id = 1; id <= 8; ++id) {
    const auto& guessed = all.at(RequestId{id});
    EXPECT_EQ(guessed.tokens, all.at(RequestId{id + 100}).tokens);
    EXPECT_EQ(guessed.end.finish, FinishReason::stop) << text_of(guessed.tokens);
  }
}

TEST_P(Rings, AnAnswerBegunElsewhereGoesOnAsItWouldHaveThere) {
  auto whole = request(1, lists);
  const auto unbroken = answers({whole}).at(whole.id);
  ASSERT_GT(unbroken.tokens.size(), 6u);
  for (const std::size_t told : {std::size_t{1}, std::size_t{5}, unbroken.tokens.size() - 1}) {
    auto resumed = whole;
    resumed.id = RequestId{100 + told};
    resumed.resumed.assign(unbroken.tokens.begin(), unbroken.tokens.begin() + static_cast<std::ptrdiff_t>(told));
    const auto answer = answers({resumed}).at(resumed.id);
    EXPECT_EQ(text_of(answer.tokens),
              text_of({unbroken.tokens.begin() + static_cast<std::ptrdiff_t>(told), unbroken.tokens.end()}));
    EXPECT_EQ(answer.end.finish, FinishReason::stop);
  }
}

TEST_P(Rings, WhatCannotGoOnFailsAndOthersDoNotNotice) {
  auto foreign = request(2, dates);
  foreign.resumed = {'x', 'y'};
  auto beyond_tokens = request(3, {ConstraintKind::regex, "aé"});  // no token has those bytes
  auto hostile = request(4, {ConstraintKind::regex, "(("});
  auto endless = request(5, dates);
  endless.stop_tokens = {7};
  const auto all = answers({request(1, dates), foreign, beyond_tokens, hostile, endless, request(6, {})});
  EXPECT_THAT(text_of(all.at(RequestId{1}).tokens), testing::MatchesRegex(is_date));
  EXPECT_NE(all.at(RequestId{6}).end.finish, FinishReason::failed);
  for (const auto& [id, reason] : std::map<std::uint64_t, std::string>{
           {2, "keeps to its constraint"}, {3, "cannot go on"}, {4, "regular expression"}, {5, "ignore_eos"}}) {
    const auto& failed = all.at(RequestId{id});
    EXPECT_EQ(failed.end.finish, FinishReason::failed);
    ASSERT_TRUE(failed.end.error) << id;
    EXPECT_THAT(failed.end.error->message, HasSubstr(reason));
  }
}

}  // namespace
}  // namespace flotilla
