// How fast this machine reads memory: what decoding is measured against, since each token reads every weight once.
//
//   memory_rate [--threads 1] [--mib 1024] [--repeat 5]
//
// Each thread sums a part of its own of a block larger than any cache. Prints bytes per second of the median pass, all
// threads together. Pin it with taskset to the cores that are meant.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <span>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// Many sums, so that the loop waits for memory and not for its own additions; the compiler makes vectors of them.
std::uint64_t sum_of(std::span<const std::uint64_t> words) {
  constexpr std::size_t lanes = 32;
  std::uint64_t sums[lanes] = {};
  for (std::size_t i = 0; i + lanes <= words.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += words[i + lane];
  std::uint64_t sum = 0;
  for (const std::uint64_t part : sums) sum += part;
  return sum;
}

double bytes_per_second(std::uint32_t threads, std::size_t bytes, std::uint32_t repeat) {
  const std::size_t words = bytes / sizeof(std::uint64_t) / threads;
  std::vector<double> rates;
  std::uint64_t kept = 0;  // so that nothing is optimised away
  std::vector<std::uint64_t> sums(threads);
  auto before = Clock::now();
  std::uint32_t pass = 0;
  const auto between = [&]() noexcept {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - before).count();
    // Pass 0 writes the block, pass 1 warms up.
    if (pass > 1) rates.push_back(static_cast<double>(words * threads * sizeof(std::uint64_t)) / seconds);
    before = now;
    ++pass;
  };
  std::barrier together(static_cast<std::ptrdiff_t>(threads), between);
  {
    std::vector<std::jthread> workers;
    for (std::uint32_t i = 0; i < threads; ++i)
      workers.emplace_back([&, i] {
        const std::vector<std::uint64_t> block(words, i + 1);
        together.arrive_and_wait();
        for (std::uint32_t n = 0; n < repeat + 1; ++n) {
          sums[i] += sum_of(block);
          together.arrive_and_wait();
        }
      });
  }
  for (const std::uint64_t sum : sums) kept += sum;
  std::ranges::sort(rates);
  return kept > 0 && !rates.empty() ? rates[rates.size() / 2] : 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint32_t threads = 1, mib = 1024, repeat = 5;
  CLI::App app("Measures how fast memory is read.");
  app.add_option("--threads", threads, "readers at the same time")->check(CLI::Range(1u, 1024u))->capture_default_str();
  app.add_option("--mib", mib, "size of the block, all threads together")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  app.add_option("--repeat", repeat, "counted passes")->check(CLI::Range(1u, 1000u))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::printf("%.0f\n", bytes_per_second(threads, static_cast<std::size_t>(mib) << 20, repeat));
}
