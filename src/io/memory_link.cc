#include "io/memory_link.h"

#include <thread>

#include "base/bounded_queue.h"
#include "io/link_check.h"

namespace flotilla {
namespace {

using Queue = BoundedQueue<Frame>;

class MemoryLink final : public Link {
 public:
  MemoryLink(std::shared_ptr<Queue> to_peer, std::shared_ptr<Queue> from_peer)
      : to_peer_(std::move(to_peer)), from_peer_(std::move(from_peer)) {}
  ~MemoryLink() override { close({Code::closed, "[io] this end of the link is gone"}); }

  Status send(const FrameHeader& header, std::span<const std::byte> body) override {
    if (cause_) return fail(cause_.get());
    FLOTILLA_TRY_STATUS(check_sendable(header, body));
    Frame frame = make_frame(header.kind, Bytes(body.begin(), body.end()), header.epoch, header.step);
    frame.header.version = header.version;
    return or_cause(push(std::move(frame)));
  }

  void while_sending_waits(Meanwhile meanwhile) override { meanwhile_ = std::move(meanwhile); }

  Status receive(Frame& frame, std::chrono::nanoseconds patience) override {
    if (cause_) return fail(cause_.get());
    auto arrived = from_peer_->pop_for(patience);
    if (!arrived) {
      if (arrived.error().code == Code::timeout) return fail(arrived.error());
      return or_cause(fail(arrived.error()));
    }
    frame = *std::move(arrived);
    return {};
  }

  void close(Error cause) override {
    cause_.set(std::move(cause));
    const Error there{Code::closed, "[io] the other end closed the link"};
    to_peer_->close(there);  // what was sent before still arrives
    from_peer_->close(there);
  }

 private:
  Status push(Frame frame) {
    while (meanwhile_) {
      auto status = to_peer_->try_push(std::move(frame));  // NOLINT(bugprone-use-after-move): a full queue leaves it
      if (status || status.error().code != Code::busy) return status;
      FLOTILLA_TRY_STATUS(meanwhile_());
      std::this_thread::sleep_for(meanwhile_interval);
    }
    return to_peer_->push(std::move(frame));
  }

  // A queue that the peer closed closes this end too; one that close() here closed answers close()'s cause.
  Status or_cause(Status status) {
    if (status) return status;
    cause_.set(std::move(status).error());
    return fail(cause_.get());
  }

  // Shared by the two ends, whichever is destroyed first.
  std::shared_ptr<Queue> to_peer_, from_peer_;
  Meanwhile meanwhile_;
  FirstCause cause_;
};

}  // namespace

std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> make_memory_link_pair(std::size_t frames_max) {
  auto there = std::make_shared<Queue>(frames_max), back = std::make_shared<Queue>(frames_max);
  return {std::make_unique<MemoryLink>(there, back), std::make_unique<MemoryLink>(back, there)};
}

}  // namespace flotilla
