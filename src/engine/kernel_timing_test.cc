// Claims about measuring this machine. What a kernel takes differs from machine to machine and minute to minute; what
// is claimed here holds on all.
#include "engine/kernel_timing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "engine/core_division.h"
#include "engine/machine_rates.h"
#include "engine/random_rows.h"

namespace flotilla {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::Gt;

TEST(CoreDivision, ACoreAloneNeedsNoChoice) { EXPECT_THAT(divisions_of(1), ElementsAre(CoreDivision{1, 1})); }

TEST(CoreDivision, EveryCandidateUsesEveryCore) {
  EXPECT_THAT(divisions_of(2), ElementsAre(CoreDivision{2, 1}, CoreDivision{1, 2}));
  EXPECT_THAT(divisions_of(4), ElementsAre(CoreDivision{4, 1}, CoreDivision{2, 2}, CoreDivision{1, 4}));
  for (std::uint32_t cores = 1; cores <= 128; ++cores) {
    const auto divisions = divisions_of(cores);
    EXPECT_LE(divisions.size(), 4u);
    EXPECT_THAT(divisions, Contains(CoreDivision{1, cores}));
    for (const CoreDivision& division : divisions) {
      EXPECT_EQ(division.cores(), cores);
      EXPECT_LE(division.shards, 8u) << "few models have more KV heads";
    }
  }
}

TEST(CoreDivision, WritingWeighsMost) {
  const DivisionTime writes_well{{2, 1}, 0.010, 0.004}, reads_well{{1, 2}, 0.013, 0.003};
  EXPECT_EQ(fastest(std::vector{writes_well, reads_well}).division, (CoreDivision{2, 1}));
}

TEST(CoreDivision, FewerShardsWinADraw) {
  const DivisionTime four{{4, 1}, 0.0100, 0.001}, two{{2, 2}, 0.0102, 0.001}, one{{1, 4}, 0.0150, 0.001};
  EXPECT_EQ(fastest(std::vector{four, two, one}).division, (CoreDivision{2, 2}));
}

TEST(MachineRates, TypesAreThoseThatCanBeMade) {
  const std::vector<int> types{GGML_TYPE_Q6_K, GGML_TYPE_F32, GGML_TYPE_Q6_K, GGML_TYPE_I32, GGML_TYPE_Q8_K, 9999, -1};
  EXPECT_THAT(measurable_types(types), ElementsAre("F32", "Q6_K"));
  for (const std::string& name : common_types()) EXPECT_NE(type_named(name), GGML_TYPE_COUNT) << name;
}

TEST(KernelTiming, MoreRowsTakeLonger) {
  for (const CoreDivision division : {CoreDivision{1, 1}, CoreDivision{2, 1}}) {
    const auto seconds = time_matrices(GGML_TYPE_Q4_K, division);
    ASSERT_TRUE(seconds) << seconds.error().message;
    ASSERT_EQ(seconds->size(), kernel_rows.size());
    EXPECT_THAT(*seconds, Each(Gt(0.001))) << "no machine reads a TiB a second";
    EXPECT_GT(seconds->back(), seconds->front());
  }
}

TEST(KernelTiming, AttentionAndMemoryHaveARate) {
  const auto attention = attention_rate({1, 1}, 1);
  ASSERT_TRUE(attention) << attention.error().message;
  EXPECT_GT(*attention, 1e7);
  EXPECT_GT(memory_rate(1), 1e8);
}

TEST(KernelTiming, ADivisionIsMeasuredAndLeavesNoFile) {
  std::string pattern = (std::filesystem::temp_directory_path() / "flotilla-division-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(pattern.data());
  const auto measured = measure_divisions(2, folder);
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_EQ(measured->size(), 2u);
  for (const DivisionTime& time : *measured) {
    EXPECT_GT(time.token_seconds, 0);
    EXPECT_GT(time.read_row_seconds, 0);
  }
  const auto layer = measure_layer({1, 1}, folder);
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_GT(*layer, 0);
  EXPECT_LT(*layer, 0.1);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove(folder);
}

}  // namespace
}  // namespace flotilla
