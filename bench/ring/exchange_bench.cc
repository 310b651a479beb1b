// What summing over two machines costs beyond the link itself: `exchange_bench [--values N] [--bf16] [--json]`.
//
// Two processes, a core each, joined by a TCP connection over loopback. In turns: bytes alone go to and fro (half of
// such a round is the link's own time, one way), and both sides sum as many values as the same bytes hold, as a tensor
// group does twice a layer (pipeline/link_collective.h). The difference is what the exchange itself costs: headers,
// checksums, encryption (but for --clear), adding up, and that both sides send at once. Medians of rounds.
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <print>
#include <vector>

#include "base/sha256.h"
#include "io/secure_socket.h"
#include "median.h"
#include "pipeline/group.h"
#include "pipeline/link_collective.h"
#include "wire/values.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double target_us = 40;

struct BenchOptions {
  std::vector<std::uint32_t> values = {576, 2048, 4096};
  std::vector<std::uint32_t> cores = {0, 1};
  std::uint32_t rounds = 9, exchanges = 2000;
  bool bf16 = false, json = false, clear = false;
  ActivationType type() const { return bf16 ? ActivationType::bf16 : ActivationType::f32; }
};

void pin(std::uint32_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// One side: a bare connection and one that a group uses.
struct Side {
  bool first = false;
  Descriptor bare;
  std::unique_ptr<Collective> collective;
};

bool move_all(int fd, std::span<std::byte> bytes, bool sends) {
  while (!bytes.empty()) {
    const auto count =
        sends ? ::send(fd, bytes.data(), bytes.size(), 0) : ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
    if (count == 0) return false;
  }
  return true;
}

// Microseconds one way.
double bare_us(const Side& side, std::size_t bytes, std::uint32_t exchanges) {
  std::vector<std::byte> buffer(bytes);
  const auto begun = Clock::now();
  for (std::uint32_t i = 0; i < exchanges; ++i) {
    if (!move_all(side.bare.get(), buffer, side.first)) return 0;
    if (!move_all(side.bare.get(), buffer, !side.first)) return 0;
  }
  return std::chrono::duration<double, std::micro>(Clock::now() - begun).count() / exchanges / 2;
}

double sum_us(Side& side, std::size_t count, std::uint32_t exchanges) {
  std::vector<float> values(count, 1e-30f);
  const auto begun = Clock::now();
  for (std::uint32_t i = 0; i < exchanges; ++i) {
    side.collective->start(values);
    if (!side.collective->wait()) return 0;
  }
  return std::chrono::duration<double, std::micro>(Clock::now() - begun).count() / exchanges;
}

struct Figures {
  std::uint32_t values = 0;
  double bare_us = 0, sum_us = 0;
  std::vector<double> beyond_us;
};

std::vector<Figures> measure(Side& side, const BenchOptions& bench) {
  std::vector<Figures> all;
  for (const std::uint32_t count : bench.values) {
    std::vector<double> bare, sum;
    Figures figures{.values = count, .beyond_us = {}};
    for (std::uint32_t round = 0; round <= bench.rounds; ++round) {
      const double link = bare_us(side, count * value_bytes(bench.type()), bench.exchanges);
      const double both = sum_us(side, count, bench.exchanges);
      if (round == 0) continue;  // warms up
      bare.push_back(link);
      sum.push_back(both);
      figures.beyond_us.push_back(both - link);
    }
    figures.bare_us = median(bare);
    figures.sum_us = median(sum);
    all.push_back(std::move(figures));
  }
  return all;
}

Side make_side(std::uint32_t member, ActivationType type, Descriptor bare, SecureSocket of_group) {
  PrepareStage plan;
  plan.activation_type = type;
  plan.members = 2;
  plan.member = member;
  auto group = std::make_shared<Group>(plan);
  group->adopt(1 - member, make_tcp_link(std::move(of_group), {.spin = std::chrono::microseconds(200)}));
  return {.first = member == 0, .bare = std::move(bare), .collective = make_link_collective(group)};
}

void print(const std::vector<Figures>& all, bool json) {
  auto rows = nlohmann::json::array();
  if (!json) std::println("{:>8} {:>14} {:>12} {:>12}", "values", "link, one way", "sum", "beyond, us");
  for (const Figures& figures : all) {
    const double beyond = median(figures.beyond_us);
    if (!json)
      std::println("{:>8} {:>14.1f} {:>12.1f} {:>12.1f}{}", figures.values, figures.bare_us, figures.sum_us, beyond,
                   beyond <= target_us ? "" : "  above the target");
    rows.push_back({{"values", figures.values},
                    {"link_us", figures.bare_us},
                    {"sum_us", figures.sum_us},
                    {"beyond_us", beyond},
                    {"rounds_beyond_us", figures.beyond_us}});
  }
  if (json) std::println("{}", nlohmann::json{{"target_us", target_us}, {"sums", rows}}.dump(2));
  if (!json) std::println("Target: at most {} us beyond the link's own time.", target_us);
}

int run(const BenchOptions& bench) {
  const auto listener = tcp_listen("127.0.0.1", 0);
  if (!listener) return 1;
  const auto port = local_port(*listener);
  const pid_t child = ::fork();
  pin(bench.cores[child == 0 ? 1 : 0]);
  std::vector<Descriptor> sockets;
  for (int i = 0; i < 2; ++i) {
    auto socket = child == 0 ? tcp_connect("127.0.0.1", port, std::chrono::seconds(5))
                             : tcp_accept(*listener, std::chrono::seconds(5));
    if (!socket) return 1;
    sockets.push_back(*std::move(socket));
  }
  SecureSocket of_group(std::move(sockets[1]));
  if (!bench.clear) {
    auto secured =
        shake_hands(std::move(of_group.socket), TlsContext::of_shared_key(bytes_of("a key for measuring it")),
                    child == 0 ? TlsRole::initiator : TlsRole::responder, Clock::now() + std::chrono::seconds(5));
    if (!secured) return 1;
    of_group = *std::move(secured);
  }
  Side side = make_side(child == 0 ? 1 : 0, bench.type(), std::move(sockets[0]), std::move(of_group));
  const auto all = measure(side, bench);
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  print(all, bench.json);
  return 0;
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::BenchOptions bench;
  CLI::App app("What summing over two machines costs beyond the link, on loopback");
  app.add_option("--values", bench.values, "how many values are summed, one number or several")->capture_default_str();
  app.add_option("--cores", bench.cores, "the two cores")->expected(2)->capture_default_str();
  app.add_option("--rounds", bench.rounds)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--exchanges", bench.exchanges, "sums in a round")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_flag("--bf16", bench.bf16, "values travel in two bytes");
  app.add_flag("--clear", bench.clear, "without the encryption that rings have, to see what it costs");
  app.add_flag("--json", bench.json, "figures of every round, for programs");
  CLI11_PARSE(app, argc, argv);
  return flotilla::run(bench);
}
