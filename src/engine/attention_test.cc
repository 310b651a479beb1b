#include "engine/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>

namespace flotilla {
namespace {

struct Heads {
  std::uint32_t heads = 9, kv_heads = 3, key_length = 64, value_length = 64;
};

// Random queries, and a cache of random cells of which each row sees some.
class Problem {
 public:
  Problem(Heads heads, std::uint32_t cells, std::vector<AttendingRow> rows, float softcap = 0)
      : heads_(heads), cells_(cells), rows_(std::move(rows)), softcap_(softcap) {
    std::mt19937 random(cells);
    std::normal_distribution<float> normal;
    queries_.resize(rows_.size() * heads.heads * heads.key_length);
    for (float& value : queries_) value = 3 * normal(random);
    for (auto [cached, length] : {std::pair(&keys_, heads.key_length), std::pair(&values_, heads.value_length)}) {
      cached->resize(std::size_t{cells} * heads.kv_heads * length * sizeof(_Float16));
      for (std::size_t i = 0; i < cached->size() / sizeof(_Float16); ++i) put(*cached, i, normal(random));
    }
  }

  std::vector<float> attend(VectorWidth width = widest_vectors(), std::uint32_t parts = 1) const {
    std::vector<float> results(rows_.size() * heads_.heads * heads_.value_length, -1);
    AttentionScratch scratch;
    for (std::uint32_t part = 0; part < parts; ++part)
      flotilla::attend(inputs(rows_, queries_, results), scratch, part, parts, width);
    return results;
  }

  void make_infinite(std::size_t cell) {
    const std::size_t width = std::size_t{heads_.kv_heads} * heads_.value_length;
    for (std::size_t i = 0; i < width; ++i) put(values_, cell * width + i, 1e6f);
  }

  // One row with nothing beside it.
  std::vector<float> attend_alone(std::size_t row) const {
    const std::size_t width = std::size_t{heads_.heads} * heads_.key_length;
    std::vector<float> results(std::size_t{heads_.heads} * heads_.value_length);
    AttentionScratch scratch;
    flotilla::attend(inputs({&rows_[row], 1}, std::span(queries_).subspan(row * width, width), results), scratch, 0, 1,
                     widest_vectors());
    return results;
  }

  // By definition, in F64.
  std::vector<double> by_definition(std::size_t row, std::uint32_t head) const {
    const AttendingRow& sees = rows_[row];
    const std::uint32_t kv_head = head / (heads_.heads / heads_.kv_heads);
    const float* query = &queries_[(row * heads_.heads + head) * heads_.key_length];
    double sum = 0;
    std::vector<double> result(heads_.value_length);
    for (std::int32_t cell = sees.first; cell < sees.end; ++cell) {
      const std::size_t at = static_cast<std::size_t>(sees.slot + cell) * heads_.kv_heads + kv_head;
      double score = 0;
      for (std::uint32_t i = 0; i < heads_.key_length; ++i) score += query[i] * get(keys_, at * heads_.key_length + i);
      score *= scale();
      if (softcap_ != 0) score = softcap_ * std::tanh(score / softcap_);
      sum += std::exp(score);
      for (std::uint32_t i = 0; i < heads_.value_length; ++i)
        result[i] += std::exp(score) * get(values_, at * heads_.value_length + i);
    }
    for (double& value : result) value /= sum;
    return result;
  }

  double worst_error(const std::vector<float>& results) const {
    double worst = 0;
    for (std::size_t row = 0; row < rows_.size(); ++row)
      for (std::uint32_t head = 0; head < heads_.heads; ++head) {
        const auto expected = by_definition(row, head);
        const float* result = &results[(row * heads_.heads + head) * heads_.value_length];
        for (std::size_t i = 0; i < expected.size(); ++i) worst = std::max(worst, std::abs(expected[i] - result[i]));
      }
    return worst;
  }

  std::size_t rows() const { return rows_.size(); }
  std::size_t row_width() const { return std::size_t{heads_.heads} * heads_.value_length; }

 private:
  float scale() const { return 1 / std::sqrt(static_cast<float>(heads_.key_length)); }

  static void put(std::vector<std::byte>& cached, std::size_t i, float value) {
    const auto half = static_cast<_Float16>(value);
    std::memcpy(&cached[i * sizeof half], &half, sizeof half);
  }
  static double get(const std::vector<std::byte>& cached, std::size_t i) {
    _Float16 half;
    std::memcpy(&half, &cached[i * sizeof half], sizeof half);
    return static_cast<float>(half);
  }

  AttentionInputs inputs(std::span<const AttendingRow> rows, std::span<const float> queries,
                         std::vector<float>& results) const {
    return {.rows = rows,
            .queries = queries.data(),
            .keys = keys_.data(),
            .values = values_.data(),
            .results = results.data(),
            .heads = heads_.heads,
            .kv_heads = heads_.kv_heads,
            .key_length = heads_.key_length,
            .value_length = heads_.value_length,
            .query_row_stride = std::size_t{heads_.heads} * heads_.key_length,
            .query_head_stride = heads_.key_length,
            .key_cell_bytes = keys_.size() / cells_,
            .value_cell_bytes = values_.size() / cells_,
            .scale = scale(),
            .softcap = softcap_};
  }

  Heads heads_;
  std::uint32_t cells_;
  std::vector<AttendingRow> rows_;
  float softcap_;
  std::vector<float> queries_;
  std::vector<std::byte> keys_, values_;
};

// Rows at positions [first, first + count) of a slot, which see what came before, or the newest `window` of it.
std::vector<AttendingRow> prompt(std::int32_t slot, std::int32_t first, std::int32_t count, std::int32_t window = 0) {
  std::vector<AttendingRow> rows;
  for (std::int32_t end = first + 1; end <= first + count; ++end)
    rows.push_back({slot, window == 0 ? 0 : std::max(0, end - window), end});
  return rows;
}

constexpr double rounding = 5e-6;  // of sums of some hundred values of about 1

TEST(Attention, IsWhatItsDefinitionSays) {
  const std::vector<std::pair<const char*, Problem>> problems = {
      {"one row", {{}, 300, prompt(0, 290, 1)}},
      {"the first row", {{}, 40, prompt(0, 0, 1)}},
      {"a prompt", {{}, 100, prompt(0, 0, 100)}},
      {"a piece behind another", {{.heads = 8, .kv_heads = 1}, 200, prompt(0, 70, 70)}},
      {"a window", {{.heads = 4, .kv_heads = 1, .key_length = 256, .value_length = 256}, 200, prompt(0, 90, 40, 50)}},
      {"lengths that fill no vector", {{.heads = 4, .kv_heads = 2, .key_length = 44, .value_length = 19}, 90, prompt(0, 80, 5)}},
      {"no shared heads", {{.heads = 3, .kv_heads = 3}, 90, prompt(0, 80, 5)}},
      {"capped scores", {{}, 300, prompt(0, 290, 3), 5}},
  };
  for (const auto& [name, problem] : problems)
    for (int width = 0; width <= static_cast<int>(widest_vectors()); ++width)
      EXPECT_LT(problem.worst_error(problem.attend(static_cast<VectorWidth>(width))), rounding)
          << name << ", vectors " << width;
}

TEST(Attention, ARowDoesNotDependOnItsCompany) {
  auto rows = prompt(256, 40, 70);  // of one sequence
  for (const auto& row : prompt(0, 150, 1)) rows.push_back(row);
  for (const auto& row : prompt(512, 3, 2)) rows.push_back(row);
  const Problem problem({}, 768, rows);
  const auto together = problem.attend();
  EXPECT_LT(problem.worst_error(together), rounding);
  for (std::size_t row = 0; row < problem.rows(); ++row) {
    const auto alone = problem.attend_alone(row);
    EXPECT_EQ(std::memcmp(alone.data(), &together[row * problem.row_width()], alone.size() * sizeof(float)), 0)
        << "row " << row;
  }
}

// A later row of the same step whose value is no F16 number must not reach the rows before it.
TEST(Attention, WhatARowDoesNotSeeMayBeInfinite) {
  Problem problem({}, 64, prompt(0, 0, 40));
  const auto before = problem.attend();
  problem.make_infinite(39);
  const auto after = problem.attend();
  const std::size_t finite = 39 * problem.row_width();
  EXPECT_EQ(std::memcmp(after.data(), before.data(), finite * sizeof(float)), 0);
  EXPECT_FALSE(std::isfinite(after[finite]));
}

TEST(Attention, HowManyShareTheWorkChangesNothing) {
  const Problem problem({.heads = 4, .kv_heads = 1}, 512, prompt(0, 200, 30));
  const auto alone = problem.attend();
  for (const std::uint32_t parts : {2u, 3u, 16u, 500u}) EXPECT_EQ(problem.attend(widest_vectors(), parts), alone);
}

// Scores far apart: weights that vanish, and a highest score that comes last.
TEST(Attention, ScoresMayBeFarApart) {
  constexpr std::uint32_t cells = 96, length = 16;
  std::vector<_Float16> keys(cells * length), values(cells * length);
  std::vector<float> query(length, 1.0f), result(length);
  for (std::uint32_t cell = 0; cell < cells; ++cell)
    for (std::uint32_t i = 0; i < length; ++i) {
      keys[cell * length + i] = static_cast<_Float16>(cell == cells - 1 ? 100 : -1000);
      values[cell * length + i] = static_cast<_Float16>(cell == cells - 1 ? 7 : 60'000);
    }
  const AttendingRow row{0, 0, cells};
  AttentionScratch scratch;
  const AttentionInputs inputs{.rows = {&row, 1},
                               .queries = query.data(),
                               .keys = reinterpret_cast<const std::byte*>(keys.data()),
                               .values = reinterpret_cast<const std::byte*>(values.data()),
                               .results = result.data(),
                               .heads = 1,
                               .kv_heads = 1,
                               .key_length = length,
                               .value_length = length,
                               .query_row_stride = length,
                               .query_head_stride = length,
                               .key_cell_bytes = length * sizeof(_Float16),
                               .value_cell_bytes = length * sizeof(_Float16)};
  attend(inputs, scratch, 0, 1, widest_vectors());
  EXPECT_EQ(result, std::vector<float>(length, 7.0f));
}

}  // namespace
}  // namespace flotilla
