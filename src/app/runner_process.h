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

#include "app/spawned_runner.h"
#include "io/frame_connection.h"

namespace flotilla {

class RunnerProcess final : public SpawnedRunner, public std::enable_shared_from_this<RunnerProcess> {
 public:
  static Result<std::shared_ptr<RunnerProcess>> spawn(boost::asio::io_context& loop, const RunnerSpawnOptions& options,
                                                      OnFrame on_frame, OnExit on_exit);
  ~RunnerProcess() override;
  void send(const Frame& frame) override;
  bool offer(const Frame& frame) override;
  bool is_open() const override { return link_->is_open(); }
  void kill() override;
  void stop() override;
  int pid() const override { return pid_; }

 private:
  RunnerProcess(boost::asio::io_context& loop, OnFrame on_frame, OnExit on_exit);
  void on_link_closed();
  void reap(int polls_left);

  boost::asio::steady_timer timer_;
  std::shared_ptr<const OnFrame> on_frame_;  // null once stopped
  OnExit on_exit_;
  std::shared_ptr<FrameConnection> link_;
  int pid_ = -1;
  bool reaping_ = false;
};

}  // namespace flotilla
