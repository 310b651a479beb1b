// A runner as the node that started it sees it: a process (app/runner_process.h), or what stands for one in a
// simulation. Thread: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "wire/frame.h"

namespace flotilla {

struct RunnerSpawnOptions {
  std::string verb = "runner";     // of our own command line; another one is a child of another trade (measure_main.h)
  std::vector<std::string> words;  // after the verb's --fd
  std::uint32_t threads = 1;
  std::string link_model;  // pipeline/runner.h
  std::uint32_t spin_us = 0;
  std::string log_level;
};

class SpawnedRunner {
 public:
  using OnFrame = std::function<void(Frame)>;
  // "exited with code 1", "was killed by signal 9 (out of memory?)"
  using OnExit = std::function<void(std::string how)>;

  virtual ~SpawnedRunner() = default;
  virtual void send(const Frame& frame) = 0;
  virtual bool offer(const Frame& frame) = 0;  // as FrameConnection's
  virtual bool is_open() const = 0;            // it can still be told something; false some time before its end is told
  virtual void kill() = 0;                     // also where it stands still; its end is told as any
  virtual void stop() = 0;                     // no callback follows
  virtual int pid() const = 0;                 // -1: there is no process
};

using SpawnRunner = std::function<Result<std::shared_ptr<SpawnedRunner>>(
    const RunnerSpawnOptions& options, SpawnedRunner::OnFrame on_frame, SpawnedRunner::OnExit on_exit)>;

}  // namespace flotilla
