#include "app/serve.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <functional>
#include <print>
#include <utility>

#include "app/service_notice.h"
#include "app/terminal.h"
#include "app/verbs.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/view.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto table_settle_time = 200ms;  // several changes at once are one table

// Prints the table once things have settled, and only where it says something new.
class TablePrinter {
 public:
  TablePrinter(boost::asio::io_context& loop, Node& node) : timer_(loop), node_(node) {}

  void on_change() {
    if (waiting_) return;
    waiting_ = true;
    timer_.expires_after(table_settle_time);
    timer_.async_wait([this](const boost::system::error_code& error) {
      waiting_ = false;
      if (!error) print();
    });
  }

 private:
  void print() {
    const ClusterView view = node_.view();
    if (std::string news = draw_table(without_use(view), ""); news != std::exchange(last_, news))
      std::println("{}", draw_table(view, node_.api_url()));
    std::fflush(stdout);
  }

  // A model that is loaded or unloaded is no news of the fleet: `flotilla ps` tells.
  static ClusterView without_use(ClusterView view) {
    for (Member& member : view.members) member.info.memory_free_bytes = member.info.memory_bytes;
    return view;
  }

  boost::asio::steady_timer timer_;
  Node& node_;
  std::string last_;
  bool waiting_ = false;
};

// Says in one line that the machine is being measured, and at last what came out.
class MeasureLine {
 public:
  explicit MeasureLine(Node& node) : node_(node) {}

  void on_progress(const MeasureDesk::Progress& progress) {
    if (progress.text.empty()) return end();
    if (!std::exchange(measuring_, true)) begin();
    if (on_terminal_)
      std::print(stderr, "\r\033[Kmeasuring this machine: {} ({} of {})", progress.text, progress.done + 1,
                 progress.total);
  }

 private:
  void begin() {
    began_ = std::chrono::steady_clock::now();
    if (on_terminal_ || told_) return;
    std::println("measuring this machine: up to a minute, put off while it answers");
    std::fflush(stdout);
  }

  void end() {
    if (!std::exchange(measuring_, false)) return;
    if (on_terminal_) std::print(stderr, "\r\033[K");
    if (std::exchange(told_, true)) return;  // again later, where something has changed: flotilla measure tells
    const MachineRates rates = node_.view().self().info.rates;
    if (rates.kernels.empty()) return;
    std::println("measured in {:.0f} s: memory {:.1f} GB/s, best with {} shard{} of {} thread{} (flotilla measure)",
                 std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(),
                 rates.memory_bytes_per_second / 1e9, rates.shards, rates.shards == 1 ? "" : "s",
                 rates.threads_per_shard, rates.threads_per_shard == 1 ? "" : "s");
    std::fflush(stdout);
  }

  Node& node_;
  const bool on_terminal_ = is_terminal(STDERR_FILENO);
  bool measuring_ = false, told_ = false;
  std::chrono::steady_clock::time_point began_;
};

// Sees the end of the process that holds the other end, however that process ended.
class LeaveWatch {
 public:
  LeaveWatch(boost::asio::io_context& loop, int fd, std::function<void()> on_end)
      : stream_(loop), on_end_(std::move(on_end)) {
    if (fd < 0) return;
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    boost::system::error_code error;
    stream_.assign(fd, error);
    if (error) {
      on_end_();
    } else {
      read();
    }
  }

 private:
  void read() {
    stream_.async_read_some(boost::asio::buffer(bytes_), [this](const boost::system::error_code& error, std::size_t) {
      if (error == boost::asio::error::operation_aborted) return;
      if (error) return on_end_();
      read();
    });
  }

  boost::asio::posix::stream_descriptor stream_;
  std::function<void()> on_end_;
  std::array<char, 16> bytes_{};
};

// Systems give a process few descriptors unless it asks; connections of clients must not use up those of the fleet.
void ask_for_descriptors() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= limits::open_files_wanted) return;
  files.rlim_cur = std::min<rlim_t>(limits::open_files_wanted, files.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &files);
}

// What can be asked here, or what is missing for that.
std::string models_line(Node& node, const NodeOptions& options) {
  const std::size_t count = node.models().size();
  if (count > 0) return std::format("{} model{} here (flotilla list)", count, count == 1 ? "" : "s");
  std::string folders = (options.home / "models").string();
  for (const auto& folder : options.model_folders) folders += " or " + folder.string();
  return std::format(
      "No model here yet: flotilla pull gets one, or put a GGUF file into {}, or name its folder with --models DIR",
      folders);
}

}  // namespace

int serve(const ServeOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // a parent that ignored it would have the system take our runners' ends to itself
  ask_for_descriptors();
  boost::asio::io_context loop;
  ServiceNotice notice(loop);
  auto started = Node::start(loop, options.node);
  if (!started) return report(started.error());
  const std::unique_ptr<Node> node = std::move(*started);
  TablePrinter table(loop, *node);
  node->on_view_change([&] { table.on_change(); });
  table.on_change();
  std::println("{}", models_line(*node, options.node));
  std::fflush(stdout);
  MeasureLine measure_line(*node);
  node->on_measuring([&](const MeasureDesk::Progress& progress) { measure_line.on_progress(progress); });
  if (options.node.trust_lan)
    std::println(
        stderr,
        "--trust-lan: EVERY machine on this network that says the same may join, read prompts and use this one. "
        "Traffic is encrypted, but nobody is asked who they are. For a lab only; else: flotilla token create.");

  if (options.node.no_auth && is_terminal(STDERR_FILENO))
    std::println(stderr, "--no-auth: while there is no key (flotilla key create), everybody who reaches {} may use it.",
                 node->api_url());

  bool leaving = false;
  const auto leave = [&](const char* reason) {
    if (std::exchange(leaving, true)) return;
    notice.stopping();
    node->leave(reason, [&] { loop.stop(); });
  };
  const LeaveWatch watch(loop, options.leave_with_fd, [&] { leave("the command that started it ended"); });
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (error) return;
    signals.async_wait([](const boost::system::error_code& again, int number) {
      if (!again) std::_Exit(128 + number);  // asked twice: at once
    });
    leave("stopped by its owner");
  });
  // Once the loop turns: from then on clients are answered.
  boost::asio::post(loop, [&] { notice.ready(std::format("answers at {}", node->api_url())); });
  loop.run();
  signals.clear();  // what is left to end may block for a moment: whoever asks again is heard by the system itself
  return 0;
}

}  // namespace flotilla
