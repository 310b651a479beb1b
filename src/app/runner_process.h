// One runner: a child process of this binary with one end of a socket pair. A ggml assert, a GPU fault or an
// out-of-memory kill takes the child, never the node.
//
// Thread: the loop's. Owns the child: stopping it is closing its link, then SIGKILL after two seconds; it is always
// reaped.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/frame_connection.h"

namespace flotilla {

struct RunnerSpawnOptions {
  std::string verb = "runner";     // of our own command line; another one is a child of another trade (measure_main.h)
  std::vector<std::string> words;  // after the verb's --fd
  std::uint32_t threads = 1;
  std::string link_model;  // pipeline/runner.h
  std::uint32_t spin_us = 0;
  std::string log_level;
};

class RunnerProcess : public std::enable_shared_from_this<RunnerProcess> {
 public:
  using OnFrame = std::function<void(Frame)>;
  using OnExit =
      std::function<void(std::string how)>;  // "exited with code 1", "was killed by signal 9 (out of memory?)"

  static Result<std::shared_ptr<RunnerProcess>> spawn(boost::asio::io_context& loop, const RunnerSpawnOptions& options,
                                                      OnFrame on_frame, OnExit on_exit);
  ~RunnerProcess();
  void send(const Frame& frame);
  bool offer(const Frame& frame);  // as FrameConnection's
  void kill();  // also where it is stopped; reaped as any that ends
  // No callback follows.
  void stop();
  int pid() const { return pid_; }

 private:
  RunnerProcess(boost::asio::io_context& loop, OnFrame on_frame, OnExit on_exit);
  void on_link_closed();
  void reap(int polls_left);

  boost::asio::io_context& loop_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<const OnFrame> on_frame_;  // null once stopped
  OnExit on_exit_;
  std::shared_ptr<FrameConnection> link_;
  int pid_ = -1;
  bool reaping_ = false;
};

}  // namespace flotilla
