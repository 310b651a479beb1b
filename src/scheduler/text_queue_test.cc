#include "scheduler/text_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Text = TextQueue::Text;

constexpr TextQueue::Room step{.tokens = 100, .texts = 8};

std::vector<Text> request(std::uint64_t id, std::initializer_list<std::uint32_t> lengths) {
  std::vector<Text> texts;
  for (const std::uint32_t length : lengths) texts.push_back({{id}, static_cast<std::uint32_t>(texts.size()), length});
  return texts;
}

TEST(TextQueue, OneTextIsInTheNextBatchHoweverManyAnothersRequestHas) {
  TextQueue queue;
  queue.add(request(1, {30, 30, 30, 30, 30, 30}));
  EXPECT_THAT(queue.next(step), ElementsAre(Text{{1}, 0, 30}, Text{{1}, 1, 30}, Text{{1}, 2, 30}));
  queue.add(request(2, {10}));
  EXPECT_THAT(queue.next(step), ElementsAre(Text{{1}, 3, 30}, Text{{2}, 0, 10}, Text{{1}, 4, 30}, Text{{1}, 5, 30}));
  EXPECT_TRUE(queue.empty());
}

TEST(TextQueue, RequestsTakeTurnsAcrossBatches) {
  TextQueue queue;
  for (std::uint64_t id = 1; id <= 3; ++id) queue.add(request(id, {60, 60}));
  std::vector<std::uint64_t> turns;
  while (!queue.empty())
    for (const Text& text : queue.next(step)) turns.push_back(text.request.value);
  EXPECT_THAT(turns, ElementsAre(1, 2, 3, 1, 2, 3));
}

TEST(TextQueue, ATextLongerThanABatchGoesAloneAndWhatFitsBesideOthersIsNotHeldUpByOneThatDoesNot) {
  TextQueue queue;
  queue.add(request(1, {400}));
  queue.add(request(2, {90, 5}));
  queue.add(request(3, {10}));
  EXPECT_THAT(queue.next(step), ElementsAre(Text{{1}, 0, 400}));
  EXPECT_THAT(queue.next(step), ElementsAre(Text{{2}, 0, 90}, Text{{3}, 0, 10}));
  EXPECT_THAT(queue.next(step), ElementsAre(Text{{2}, 1, 5}));
}

TEST(TextQueue, ABatchHasNoMoreTextsThanItMay) {
  TextQueue queue;
  queue.add(request(1, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(queue.next(step).size(), 8u);
  EXPECT_EQ(queue.next(step).size(), 2u);
}

TEST(TextQueue, WhatWasLostComesFirstAndInItsOrder) {
  TextQueue queue;
  queue.add(request(1, {50, 50, 50}));
  queue.add(request(2, {50}));
  const auto lost = queue.next(step);
  ASSERT_THAT(lost, ElementsAre(Text{{1}, 0, 50}, Text{{2}, 0, 50}));
  queue.put_back(lost);
  EXPECT_EQ(queue.tokens(), 200u);
  EXPECT_THAT(queue.next({.tokens = 50, .texts = 8}), ElementsAre(Text{{1}, 0, 50}));
  EXPECT_THAT(queue.next(step), ElementsAre(Text{{2}, 0, 50}, Text{{1}, 1, 50}));
}

TEST(TextQueue, OfARequestThatIsDroppedNothingIsLeft) {
  TextQueue queue;
  queue.add(request(1, {10, 10}));
  queue.add(request(2, {7}));
  queue.drop({1});
  EXPECT_EQ(queue.tokens(), 7u);
  EXPECT_THAT(queue.next(step), ElementsAre(Text{{2}, 0, 7}));
  EXPECT_THAT(queue.next(step), IsEmpty());
  EXPECT_EQ(queue.tokens(), 0u);
}

}  // namespace
}  // namespace flotilla
