// Pulls whole models to this machine for the API, each once however many watch it; and takes models away again.
// In: POST /pull, /delete and Ollama's like.  Out: lines of progress; files of the hub's cache.  Owns: the pulls under
// way.  Thread: the loop's; a pull blocks a thread of the pull pool.  Never: ends a pull that somebody watches.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/node_context.h"
#include "app/rate_meter.h"
#include "app/ticker.h"

namespace flotilla {

class PullDesk {
 public:
  // `home`: where links to the user's own files are.
  PullDesk(NodeContext& context, std::filesystem::path home);
  ~PullDesk();

  // What a watcher is told: {"progress": …} or {"note": …}, and at last how it ended.
  using OnLine = std::function<void(const nlohmann::json&)>;
  using OnDone = std::function<void(Result<nlohmann::json>)>;
  // `model` as `flotilla pull` takes it, of a hub. Gives the watcher's number, 0 where on_done was called already.
  std::uint64_t pull(const std::string& model, const std::string& revision, OnLine on_line, OnDone on_done);
  // The last watcher's leaving ends the pull; what is there is kept, and the next goes on with it.
  void leave(std::uint64_t watcher);
  nlohmann::json pulls() const;  // the body of GET /pulls

  // busy where a machine has it loaded, or it or another model of its repository is being pulled here.
  void remove(const std::string& model, OnDone on_done);

 private:
  struct Job;
  void start(const std::shared_ptr<Job>& job);
  void tell(const std::shared_ptr<Job>& job, const nlohmann::json& line);
  void finish(const std::shared_ptr<Job>& job, const Result<nlohmann::json>& result);
  void tell_progress();
  Status is_at_rest(const std::string& repository) const;
  Status may_go(const std::string& name, const std::string& repository) const;

  NodeContext& context_;
  const std::filesystem::path home_;
  std::map<std::string, std::shared_ptr<Job>> jobs_;  // by what is pulled, in one spelling
  std::uint64_t watchers_ = 0;
  Ticker ticker_;
  bool is_ticking_ = false;
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace flotilla
