// Claims about the head's stage where several machines compute it: what its members answer is put together to what one
// machine would have, whole logits and likeliest tokens side by side, and a member that answers nonsense is refused.
#include "pipeline/group_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <limits>

#include "io/memory_link.h"
#include "pipeline/local_ring.h"
#include "pipeline/scripted_stage.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

constexpr std::chrono::seconds patience{20};

// --- Whole rings -----------------------------------------------------------------------------------------------------

// Few different logits, so that the best is one of many equals and in another member's part from row to row.
float logit_of(std::uint32_t value, std::uint32_t token) { return static_cast<float>((value + token * 40) % 7); }

// Members part the vocabulary evenly.
IndexRange part_of(const PrepareStage& plan) {
  const std::uint32_t vocabulary = ScriptedModel{}.vocabulary;
  return {vocabulary * plan.member / plan.members, vocabulary * (plan.member + 1) / plan.members};
}

Result<std::unique_ptr<Stage>> load_part(const PrepareStage& plan, const LoadProgressFn&, std::unique_ptr<Collective>) {
  return make_scripted_stage({.model = {},
                              .layers = plan.layers,
                              .is_head = plan.is_head,
                              .vocabulary = part_of(plan),
                              .logit = logit_of,
                              .sequences = plan.sequences,
                              .context_tokens = plan.context_tokens,
                              .before_step = {}});
}

// Greedy and sampled ones, with and without probabilities, more of each than are looked at together.
std::vector<GenerateRequest> mixed_requests() {
  std::vector<GenerateRequest> requests;
  for (std::uint64_t id = 1; id <= 80; ++id) {
    GenerateRequest request;
    request.id = RequestId{id};
    request.prompt = {static_cast<TokenId>(id), 9, 3, static_cast<TokenId>(id % 11)};
    request.tokens_max = 12;
    request.sampling.temperature = id % 2 == 0 ? 0 : 1;
    request.sampling.seed = id;
    if (id % 5 == 0) request.top_logprobs = 2;
    if (id % 7 == 0) request.sampling.presence_penalty = 1;
    requests.push_back(std::move(request));
  }
  return requests;
}

std::map<RequestId, LocalRing::Answer> answers_of(std::uint32_t stages, std::uint32_t members) {
  ThreadRunners runners({.link_model = "", .spin_us = 0, .grace = std::chrono::seconds(60)}, load_part);
  LocalRingOptions options;
  options.stages = even_stages(ScriptedModel{}.layers, stages);
  options.sequences = 80;
  options.shares.assign(members, 1.0);
  auto ring = LocalRing::form(runners, options);
  if (!ring) throw std::runtime_error(ring.error().message);
  const auto requests = mixed_requests();
  for (const auto& request : requests)
    if (const auto status = ring->send(request); !status) throw std::runtime_error(status.error().message);
  auto answers = ring->answers(requests.size());
  if (!answers) throw std::runtime_error(answers.error().message);
  return *std::move(answers);
}

TEST(GroupStage, AnswersAreThoseOfOneMachineWhereAStepAsksForLogitsAndForLikeliestTokens) {
  const auto expected = answers_of(1, 1);
  for (const auto& [stages, members] : {std::pair{1u, 2u}, {1u, 3u}, {2u, 2u}}) {
    const auto got = answers_of(stages, members);
    ASSERT_EQ(got.size(), expected.size());
    for (const auto& [id, answer] : expected) {
      EXPECT_EQ(answer.tokens.size(), 12u);
      EXPECT_EQ(got.at(id).tokens, answer.tokens) << id.value << " of " << stages << " stages of " << members;
      EXPECT_EQ(got.at(id).logprobs, answer.logprobs) << id.value << " of " << stages << " stages of " << members;
    }
  }
}

// --- The first member, with the test as the second -------------------------------------------------------------------

constexpr std::uint32_t own_end = 100;  // of the vocabulary's 251 tokens

// Behind a ring, so that it asks for what it wants.
struct FirstMember {
  explicit FirstMember(float own_logit) {
    PrepareStage plan;
    plan.epoch = {.incarnation = 7, .counter = 1};
    plan.members = 2;
    auto group = std::make_shared<Group>(plan);
    auto [first, second] = make_memory_link_pair();
    group->adopt(1, std::move(first));
    link = std::move(second);
    auto own = make_scripted_stage({.model = {},
                                    .layers = {0, 6},
                                    .is_head = true,
                                    .vocabulary = {0, own_end},
                                    .logit = [own_logit](auto, auto) { return own_logit; },
                                    .before_step = {}});
    stage = make_group_stage(std::move(own), std::move(group), false);
  }

  // Of two rows, where the second member answers so.
  Result<std::vector<LikeliestToken>> likeliest(FrameKind kind, Bytes answer) {
    const std::vector<float> rows(2 * ScriptedModel{}.width, 1.0f);
    auto asked = std::async(std::launch::async, [&] {
      return stage->likeliest(rows).transform([](const auto found) { return std::vector(found.begin(), found.end()); });
    });
    Frame frame;
    EXPECT_TRUE(link->receive(frame, patience));
    EXPECT_EQ(frame.header.kind, FrameKind::likeliest_slice);
    EXPECT_TRUE(std::ranges::equal(frame.body, std::as_bytes(std::span(rows)))) << "the rows themselves";
    EXPECT_TRUE(link->send(make_frame(kind, std::move(answer), frame.header.epoch)));
    return asked.get();
  }

  std::unique_ptr<Link> link;
  std::unique_ptr<Stage> stage;
};

constexpr std::uint32_t all = ScriptedModel{}.vocabulary;

TEST(GroupStage, OfEqualTokensTheLowestIsTheLikeliest) {
  FirstMember first(5);
  const LikeliestSlice slice{own_end, all, {{150, 5}, {150, 5.5f}}};
  EXPECT_THAT(first.likeliest(FrameKind::likeliest_slice, encode(slice)).value(),
              testing::ElementsAre(LikeliestToken{0, 5}, LikeliestToken{150, 5.5f}));
  FirstMember nothing(-0.0f);
  EXPECT_THAT(nothing.likeliest(FrameKind::likeliest_slice, encode(LikeliestSlice{own_end, all, {{150, 0}, {200, -1}}}))
                  .value(),
              testing::ElementsAre(LikeliestToken{0, -0.0f}, LikeliestToken{0, -0.0f}))
      << "zeros are equal whatever their sign";
}

TEST(GroupStage, AMemberThatAnswersNonsenseIsRefused) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto refused = [](const LikeliestSlice& slice) {
    const auto found = FirstMember(5).likeliest(FrameKind::likeliest_slice, encode(slice));
    EXPECT_FALSE(found);
    if (found) return std::string();
    EXPECT_EQ(found.error().code, Code::corrupt);
    return found.error().message;
  };
  EXPECT_THAT(refused({own_end, all, {{150, 1}, {99, 6}}}), HasSubstr("one of the tokens [100, 251)"));
  EXPECT_THAT(refused({own_end, all, {{150, 1}, {251, 6}}}), HasSubstr("but got 251 and 6"));
  EXPECT_THAT(refused({own_end, all, {{150, nan}, {150, 1}}}), HasSubstr("but got 150 and nan"));
  EXPECT_THAT(refused({own_end, all, {{150, 1}}}), HasSubstr("of 2 rows, from token 100 on"));
  EXPECT_THAT(refused({99, all, {{150, 1}, {150, 1}}}), HasSubstr("but got 2 from 99 on"));
  EXPECT_THAT(refused({own_end, 200, {{150, 1}, {150, 1}}}), HasSubstr("expected logits of 251 tokens"));
  EXPECT_EQ(FirstMember(5).likeliest(FrameKind::logits_slice, {}).error().code, Code::corrupt);
}

}  // namespace
}  // namespace flotilla
