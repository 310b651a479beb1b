// Claims about what a node keeps and notices of its machine's speed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/machine.h"
#include "app/measure_desk.h"
#include "app/rates_cache.h"
#include "app/rates_json.h"
#include "app/slowdown_watch.h"
#include "app/test_desks.h"
#include "engine/core_division.h"
#include "engine/stage.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

MachineRates some_rates() {
  return {.shards = 2,
          .threads_per_shard = 1,
          .kernels = {{"Q4_K", std::vector<double>(kernel_rows.size(), 0.05)}},
          .memory_bytes_per_second = 2.5e10,
          .layer_seconds = 3e-5,
          .attention_bytes_per_second = 3e9,
          .attention_prompt_bytes_per_second = 9e9};
}

class RatesCache : public testing::Test {
 protected:
  RatesCache() {
    std::string pattern = (fs::temp_directory_path() / "flotilla-rates-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~RatesCache() override { fs::remove_all(folder_); }
  fs::path path() const { return folder_ / "rates.json"; }

  fs::path folder_;
  const Circumstances now_{.processor = "EPYC", .threads = 2, .kernels = "ggml 0.27.0", .release = "0.1.0"};
};

TEST_F(RatesCache, HoldsUnderTheSameCircumstances) {
  EXPECT_EQ(read_rates(path(), now_), std::nullopt);
  ASSERT_TRUE(write_rates(path(), now_, some_rates()));
  EXPECT_EQ(read_rates(path(), now_), some_rates());
}

TEST_F(RatesCache, HoldsUnderNoOthers) {
  ASSERT_TRUE(write_rates(path(), now_, some_rates()));
  std::vector<Circumstances> others(4, now_);
  others[0].processor = "M2";
  others[1].threads = 1;
  others[2].kernels = "ggml 0.28.0";
  others[3].release = "0.2.0";
  for (const Circumstances& other : others) EXPECT_EQ(read_rates(path(), other), std::nullopt);
}

TEST_F(RatesCache, HoldsAgainWhereCircumstancesReturn) {
  Circumstances other = now_;
  other.threads = 1;
  MachineRates slow = some_rates();
  slow.memory_bytes_per_second /= 4;
  ASSERT_TRUE(write_rates(path(), now_, some_rates()));
  ASSERT_TRUE(write_rates(path(), other, slow));
  EXPECT_EQ(read_rates(path(), other), slow);
  EXPECT_EQ(read_rates(path(), now_), some_rates());
  for (other.threads = 3; other.threads < 9; ++other.threads) {  // it does not grow for ever
    ASSERT_TRUE(write_rates(path(), other, slow));
  }
  EXPECT_EQ(read_rates(path(), now_), std::nullopt);
}

TEST_F(RatesCache, ADamagedFileIsNone) {
  for (const char* text :
       {"", "{", "[]", "{\"circumstances\":{},\"rates\":{}}", "{\"rates\":1}", "{\"measured\":[1,{\"rates\":2}]}"}) {
    std::ofstream(path()) << text;
    EXPECT_EQ(read_rates(path(), now_), std::nullopt) << text;
  }
  nlohmann::json body;
  ASSERT_TRUE(write_rates(path(), now_, some_rates()));
  std::ifstream(path()) >> body;
  body["measured"][0]["rates"]["kernels"][0]["seconds_per_gib"].erase(0);
  std::ofstream(path()) << body;
  EXPECT_EQ(read_rates(path(), now_), std::nullopt);
}

TEST_F(RatesCache, WhatNoNodeMayTellIsNotBelieved) {
  nlohmann::json good;
  ASSERT_TRUE(write_rates(path(), now_, some_rates()));
  std::ifstream(path()) >> good;
  const auto is_believed = [&](const char* pointer, const nlohmann::json& value) {
    nlohmann::json body = good;
    body[nlohmann::json::json_pointer(std::string("/measured/0/rates/") + pointer)] = value;
    std::ofstream(path()) << body;
    return read_rates(path(), now_).has_value();
  };
  EXPECT_TRUE(is_believed("layer_seconds", 4e-5));
  EXPECT_FALSE(is_believed("kernels", nlohmann::json::array()));
  EXPECT_FALSE(is_believed("kernels/0/seconds_per_gib/3", -1));
  EXPECT_FALSE(is_believed("kernels/0/seconds_per_gib/3", 1e7));
  EXPECT_FALSE(is_believed("shards", 1u << 20));
  for (const char* field : {"memory_bytes_per_second", "layer_seconds", "attention_bytes_per_second",
                            "attention_prompt_bytes_per_second"}) {
    EXPECT_FALSE(is_believed(field, -1)) << field;
    EXPECT_FALSE(is_believed(field, 1e18)) << field;
  }
}

TEST_F(RatesCache, MeasuringRemovesWhatMeasurementsThatWereEndedLeft) {
  for (const char* name : {"measure-123.gguf", "measure.gguf", "model.gguf"}) std::ofstream(folder_ / name) << "x";
  ASSERT_TRUE(start_engine());
  ASSERT_TRUE(measure_layer({1, 1}, folder_));
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_)) left.push_back(entry.path().filename());
  EXPECT_THAT(left, testing::ElementsAre("model.gguf"));
}

#ifdef __linux__
TEST(Machine, AShareIsNeverMoreThanTheProcessorsAssigned) {
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
    if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
  EXPECT_GT(processor_share(), 0);
  EXPECT_LE(processor_share(), CPU_COUNT(&before));
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_LE(processor_share(), 1);
  EXPECT_EQ(processors_allowed(), 1u);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}
#endif

// Nothing is measured: this machine computes all the time, or nobody lets it.
class Askers : public Desks {
 protected:
  void ask() {
    numbers_.push_back(desk_.want(
        true, [](const MeasureDesk::Progress&) {},
        [this](const Result<MachineRates>& rates) {
          ASSERT_FALSE(rates);
          refusals_.push_back(rates.error());
        }));
  }
  void work_for(std::chrono::seconds time) {
    for (const auto end = now_ + time; now_ < end; now_ += std::chrono::seconds(1)) {
      desk_.on_work();
      desk_.look();
    }
  }

  MeasureDesk::Clock::time_point now_{std::chrono::hours(1)};
  std::vector<std::uint64_t> numbers_;
  std::vector<Error> refusals_;
  // Goes first: it tells whoever still asks.
  MeasureDesk desk_{*context_, {.unasked = false, .threads = 1, .home = folder_}, [this] { return now_; }};
};

TEST_F(Askers, BeyondSoManyAreToldToComeAgain) {
  for (std::size_t i = 0; i < MeasureDesk::askers_max; ++i) ask();
  EXPECT_TRUE(refusals_.empty());
  ask();
  ASSERT_EQ(refusals_.size(), 1u);
  EXPECT_EQ(refusals_[0].code, Code::busy);
  desk_.leave(numbers_.front());
  ask();
  EXPECT_EQ(refusals_.size(), 1u) << "who left makes room";
}

TEST_F(Askers, AreToldWhereNoQuietMomentComes) {
  ask();
  ask();
  desk_.leave(numbers_.back());
  work_for(MeasureDesk::wait_max - std::chrono::seconds(2));
  EXPECT_TRUE(refusals_.empty());
  work_for(std::chrono::seconds(5));
  ASSERT_EQ(refusals_.size(), 1u) << "the other one has left";
  EXPECT_EQ(refusals_[0].code, Code::timeout);
}

// A runner that tells each second how many steps it took and how long they were.
class Slowdown : public testing::Test {
 protected:
  std::optional<double> second(double step_seconds, std::uint64_t rows_a_step = 1) {
    const auto steps = static_cast<std::uint64_t>(1 / step_seconds);
    stats_.steps += steps;
    stats_.rows += steps * rows_a_step;
    stats_.compute_seconds += static_cast<double>(steps) * step_seconds;
    return watch_.on_stats(stats_);
  }
  // The first news within so many seconds.
  std::optional<double> news_within(int seconds, double step_seconds) {
    for (int i = 0; i < seconds; ++i)
      if (const auto news = second(step_seconds)) return news;
    return std::nullopt;
  }

  SlowdownWatch watch_;
  StageStats stats_{.placement = {7}};
};

TEST_F(Slowdown, IsNoticedWithinSeconds) {
  EXPECT_EQ(news_within(20, 0.02), std::nullopt);
  const auto news = news_within(5, 0.08);
  ASSERT_TRUE(news);
  EXPECT_NEAR(*news, 4, 0.2);
  EXPECT_EQ(news_within(20, 0.08), std::nullopt) << "said once";
}

TEST_F(Slowdown, WhatCameBeforeTheFirstMessageIsNotCompared) {
  stats_.steps = stats_.rows = 1000;
  stats_.compute_seconds = 500;
  EXPECT_EQ(news_within(20, 0.02), std::nullopt);
}

TEST_F(Slowdown, RecoveryIsNoticedToo) {
  (void)news_within(10, 0.02);
  (void)news_within(10, 0.08);
  EXPECT_NEAR(news_within(5, 0.02).value(), 0.25, 0.02);
}

TEST_F(Slowdown, OfAStageThatEndedNothingIsKept) {
  (void)news_within(10, 0.02);
  watch_.forget(stats_.placement);
  EXPECT_EQ(news_within(20, 0.08), std::nullopt) << "another stage, by the same number";
}

TEST_F(Slowdown, AHiccupIsNoNews) {
  for (int i = 0; i < 30; ++i) EXPECT_EQ(second(i % 4 == 3 ? 0.1 : 0.02), std::nullopt);
}

TEST_F(Slowdown, AMomentOfManyShortRequestsIsNoNews) {
  EXPECT_EQ(news_within(10, 0.02), std::nullopt);
  for (int i = 0; i < 8; ++i) {  // each of two slow steps, all together in half a second
    stats_.steps += 2;
    stats_.rows += 2;
    stats_.compute_seconds += 2 * 0.032;
    EXPECT_EQ(watch_.on_stats(stats_), std::nullopt);
  }
  EXPECT_EQ(news_within(10, 0.02), std::nullopt);
}

TEST_F(Slowdown, AGrowingContextIsNoNews) {
  for (int i = 0; i < 200; ++i) EXPECT_EQ(second(0.02 * (1 + 0.02 * i)), std::nullopt);
}

TEST_F(Slowdown, AJumpToALongContextIsNoNewsAndBothLengthsBecomeSlowTogether) {
  const auto seconds = [&](int count, double each, std::uint64_t position) {
    std::optional<double> news;
    for (int i = 0; i < count && !news; ++i) {
      const auto steps = static_cast<std::uint64_t>(1 / each);
      stats_.single_steps += steps;
      stats_.single_compute_seconds += static_cast<double>(steps) * each;
      stats_.single_positions += steps * position;
      news = second(each);
    }
    return news;
  };
  EXPECT_EQ(seconds(10, 0.02, 100), std::nullopt);
  EXPECT_EQ(seconds(10, 0.06, 6000), std::nullopt);
  EXPECT_EQ(seconds(10, 0.02, 100), std::nullopt);
  EXPECT_NEAR(seconds(10, 0.08, 100).value(), 4, 0.2);
  EXPECT_EQ(seconds(10, 0.24, 6000), std::nullopt) << "known already";
}

TEST_F(Slowdown, StepsOfManyRowsSayNothing) {
  (void)news_within(10, 0.02);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(second(0.2, 64), std::nullopt);
}

TEST_F(Slowdown, SingleStepsCountedApartAreTakenFromThere) {
  for (int i = 0; i < 10; ++i) {
    stats_.single_steps += 50;
    stats_.single_compute_seconds += 1;
    EXPECT_EQ(second(0.2, 64), std::nullopt);
  }
  std::optional<double> news;
  for (int i = 0; i < 5 && !news; ++i) {
    stats_.single_steps += 20;
    stats_.single_compute_seconds += 1;
    news = second(0.2, 64);
  }
  EXPECT_NEAR(news.value(), 2.5, 0.1);
}

}  // namespace
}  // namespace flotilla
