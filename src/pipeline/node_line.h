// Decides what a runner hears from its node and when it must die. The line has two ends in the runner: a reader thread
// turns frames into commands, the computing thread takes commands and sends frames.
//
// In:  frames of the node.   Out: commands; frames to the node.   Owns: the link and the reader thread.
// Thread: send() any; on_end() and everything else the computing thread only; the reader is inside.
// Never: lets the runner outlive its node. Where the line ends, whatever the runner waits for is ended too; a
// computation that still runs after `grace` takes the process with it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>

#include "base/bounded_queue.h"
#include "base/result.h"
#include "io/link.h"
#include "wire/control.h"
#include "wire/embedding.h"
#include "wire/generate.h"

namespace flotilla {

using Command = std::variant<PrepareStage, ConnectRing, GenerateRequest, CancelRequest, EmbedRequest>;

class NodeLine {
 public:
  NodeLine(std::unique_ptr<Link> link, std::chrono::milliseconds grace);
  ~NodeLine();  // closes the link
  NodeLine(const NodeLine&) = delete;
  NodeLine& operator=(const NodeLine&) = delete;

  Result<Command> next();  // waits; the cause where the line has ended
  std::optional<Command> try_next();
  std::optional<Command> next_within(std::chrono::milliseconds patience);  // none too where the line has ended
  std::size_t waiting() const { return commands_.size(); }

  // A failure to send is not reported here: the reader sees the same end of the link and ends the line.
  void send(FrameKind kind, Bytes body, Epoch epoch);

  bool ended_within(std::chrono::milliseconds patience);  // waits for it
  bool ended() const;                                     // the node closed the link or sent stop_stage
  Error end_cause() const;                                // only where ended()

  // Calls `hook` once the line ends (from the reader thread; at once where it has), until the result is destroyed. It
  // must not call back into the line.
  using EndHook = std::function<void(const Error& cause)>;
  class [[nodiscard]] Hooked {
   public:
    Hooked(NodeLine& line) : line_(line) {}
    ~Hooked();
    Hooked(const Hooked&) = delete;
    Hooked& operator=(const Hooked&) = delete;

   private:
    NodeLine& line_;
  };
  Hooked on_end(EndHook hook);  // one at a time

 private:
  void read();
  Status handle(const Frame& frame);
  void end(Error cause);

  const std::unique_ptr<Link> link_;
  const std::chrono::milliseconds grace_;
  BoundedQueue<Command> commands_;
  std::mutex sending_;  // one frame at a time
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool finished_ = false;  // the runner is done with the line
  std::optional<Error> end_cause_;
  EndHook hook_;
  std::thread reader_;
};

}  // namespace flotilla
