// Claims about the benchmark's arithmetic and how it is told; tests/process/test_bench.py runs it against real nodes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/bench_report.h"
#include "app/bench_streams.h"

namespace flotilla {
namespace {

using nlohmann::json;

TEST(BenchFigures, AMedianOfAnEvenCountIsTheMeanOfTheMiddleTwo) {
  EXPECT_EQ(median(std::vector<double>{3, 1, 2}), 2);
  EXPECT_EQ(median(std::vector<double>{4, 1, 2, 3}), 2.5);
  EXPECT_EQ(median(std::vector<double>{}), 0);
}

TEST(BenchFigures, APercentileIsAValueThatWasMeasured) {
  std::vector<double> hundred;
  for (int i = 100; i >= 1; --i) hundred.push_back(i);
  EXPECT_EQ(percentile(hundred, 0.95), 95);
  EXPECT_EQ(percentile(hundred, 0.5), 50);
  EXPECT_EQ(percentile(hundred, 0), 1);
  EXPECT_EQ(percentile(hundred, 1), 100);
  EXPECT_EQ(percentile(std::vector<double>{7}, 0.95), 7);
  EXPECT_EQ(percentile(std::vector<double>{}, 0.95), 0);
}

TEST(BenchFigures, OneAnswerGivesItsRates) {
  const std::vector<AnswerTimes> answers{{.asked_at = 1, .token_seconds = {0.5, 0.6, 0.7, 1.0}}};
  const RunFigures run = figures_of(answers, 100);
  EXPECT_EQ(run.streams, 1u);
  EXPECT_DOUBLE_EQ(run.first_token_seconds, 0.5);
  EXPECT_DOUBLE_EQ(run.prompt_tokens_per_second, 200);
  EXPECT_DOUBLE_EQ(run.generation_tokens_per_second, 6);  // three tokens in half a second
  EXPECT_DOUBLE_EQ(run.total_tokens_per_second, 4);       // four in one, the prompt's time included
  EXPECT_NEAR(run.gap_p50_seconds, 0.1, 1e-9);
  EXPECT_NEAR(run.gap_p95_seconds, 0.3, 1e-9);
  EXPECT_FALSE(run.messages_per_token);
}

TEST(BenchFigures, StreamsTogetherCountFromTheFirstRequestToTheLastToken) {
  const std::vector<AnswerTimes> answers{{.asked_at = 0, .token_seconds = {1, 2}},
                                         {.asked_at = 1, .token_seconds = {1, 3}}};
  EXPECT_DOUBLE_EQ(figures_of(answers, 1).total_tokens_per_second, 1);  // four tokens in four seconds
}

TEST(BenchFigures, AGainIsTheMedianOfThePairsRatiosNotTheRatioOfMedians) {
  const std::vector<double> one{10, 20, 40}, many{20, 20, 60};
  const Gain gain = gain_of_rates(one, many);
  EXPECT_DOUBLE_EQ(gain.ratio, 1.5);
  EXPECT_DOUBLE_EQ(gain.least, 1);
  EXPECT_DOUBLE_EQ(gain.most, 2);
  EXPECT_DOUBLE_EQ(gain_of_times(one, many).ratio, 1 / 1.5);
  EXPECT_EQ(gain_of_rates(std::vector<double>{0}, std::vector<double>{1}).ratio, 0);
}

TEST(BenchFigures, WhatNobodyCountsStaysUnknown) {
  RunFigures counted{.streams = 4}, uncounted{.streams = 4};
  counted.messages_per_token = 2;
  EXPECT_EQ(medians_of(std::vector{counted, uncounted}).messages_per_token, 2);
  EXPECT_FALSE(medians_of(std::vector{uncounted}).messages_per_token);
  EXPECT_EQ(medians_of(std::vector{counted}).streams, 4u);
}

TEST(BenchStreams, PromptsAreTheSameForBothSidesAndNotForTwoStreams) {
  StreamsOrder order{.api_url = {}, .model = {}, .streams = 2, .prompt_tokens = 64, .vocabulary = 49152, .seed = 3};
  const auto prompt = random_prompt(order, 0);
  EXPECT_EQ(prompt.size(), 64u);
  EXPECT_EQ(prompt, random_prompt(order, 0));
  EXPECT_NE(prompt, random_prompt(order, 1));
  order.seed = 4;
  EXPECT_NE(prompt, random_prompt(order, 0));
}

TEST(BenchStreams, TokensLieInTheVocabularyHoweverSmall) {
  for (const std::uint32_t vocabulary : {32u, 1500u, 2001u, 32000u})
    for (const std::uint32_t token :
         random_prompt({.api_url = {}, .model = {}, .prompt_tokens = 200, .vocabulary = vocabulary}, 0))
      ASSERT_LT(token, vocabulary);
}

RunFigures run_of(std::uint32_t streams, double rate) {
  return {.streams = streams,
          .first_token_seconds = 1,
          .prompt_tokens_per_second = 10 * rate,
          .generation_tokens_per_second = rate,
          .total_tokens_per_second = rate};
}

BenchReport report_of(double one, double many) {
  return {.model = "m",
          .prompt_tokens = 8,
          .tokens = 4,
          .pairs = 1,
          .streams = {1, 4},
          .single = {"harbour", json::object(), {{run_of(1, one)}, {run_of(4, 10)}}},
          .cluster = BenchSide{"harbour + island", json::object(), {{run_of(1, many)}, {run_of(4, 10.1)}}},
          .notes = {}};
}

TEST(BenchReport, TheSentenceSaysWhichIsFasterAndByHowMuch) {
  EXPECT_EQ(bench_sentence(report_of(20, 30)),
            "For one user the cluster is 1.50 times as fast (30.0 against 20.0 tok/s); for 4 streams together they are "
            "equally fast (10.1 and 10.0 tok/s).");
  EXPECT_TRUE(bench_sentence(report_of(30, 20)).starts_with("For one user harbour alone is 1.50 times as fast"));
  BenchReport lonely = report_of(1, 1);
  lonely.cluster.reset();
  EXPECT_EQ(bench_sentence(lonely),
            "harbour is the only machine that can hold m: there is nothing to compare it with.");
}

TEST(BenchReport, APredictionStandsBesideTheResultWhereThereIsOne) {
  BenchReport report = report_of(20, 30);
  EXPECT_EQ(bench_table(report).find("predicted"), std::string::npos);
  report.cluster->placement = {
      {"predicted_token_seconds", 0.03125}, {"predicted_prompt_seconds", 0.5}, {"predicted_prompt_tokens", 100}};
  const std::string table = bench_table(report);
  const auto row = table.find("predicted: generation, tok/s");
  ASSERT_NE(row, std::string::npos) << table;
  EXPECT_LT(table.find("–", row), table.find("32.0", row));  // nothing for the one side, 1 / 0.03125 s for the other
  EXPECT_NE(table.find("predicted: prompt, tok/s"), std::string::npos);
  EXPECT_EQ(bench_json(report)["cluster"]["predicted"]["token_seconds"], 0.03125);
  EXPECT_FALSE(bench_json(report)["single"].contains("predicted"));
}

TEST(BenchReport, JsonKeepsEveryRun) {
  const json body = bench_json(report_of(20, 30));
  EXPECT_EQ(body["single"]["runs"][0][0]["generation_tokens_per_second"], 20);
  EXPECT_EQ(body["cluster"]["runs"][1][0]["streams"], 4);
  EXPECT_EQ(body["gains"][0]["gain"]["ratio"], 1.5);
  EXPECT_TRUE(body["cluster"]["runs"][0][0]["bytes_per_token"].is_null());
}

TEST(BenchChart, TheLongerBarOfARowFillsItAndNamesAreEscaped) {
  BenchReport report = report_of(20, 30);
  report.model = "a<b>&\"c\"\x01";
  const std::string svg = draw_svg(bench_chart(report));
  EXPECT_NE(svg.find("a&lt;b&gt;&amp;&quot;c&quot; "), std::string::npos);
  EXPECT_EQ(svg.find("a<b>"), std::string::npos);
  EXPECT_NE(svg.find("width=\"368.0\" height=\"16\" rx=\"2\" class=\"second\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("width=\"245.3\" height=\"16\" rx=\"2\" class=\"first\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("1.50 ×"), std::string::npos);
}

}  // namespace
}  // namespace flotilla
