#include "pipeline/node_line.h"

#include <cstdlib>
#include <utility>

#include "base/limits.h"
#include "base/log.h"

namespace flotilla {
namespace {

// A cancel for each request that may wait, and the requests: what a well-behaved node can have under way at once.
// Beyond it the reader waits, and so in the end does the node.
constexpr std::size_t commands_waiting_max = 4 * limits::requests_queued_max;

}  // namespace

NodeLine::NodeLine(std::unique_ptr<Link> link, std::chrono::milliseconds grace)
    : link_(std::move(link)), grace_(grace), commands_(commands_waiting_max), reader_([this] { read(); }) {}

NodeLine::~NodeLine() {
  {
    const std::scoped_lock lock(mutex_);
    finished_ = true;
  }
  changed_.notify_all();
  const Error cause{Code::closed, "[pipeline] the runner is done"};
  commands_.close(cause);
  link_->close(cause);
  reader_.join();
}

Result<Command> NodeLine::next() { return commands_.pop(); }

std::optional<Command> NodeLine::try_next() { return commands_.try_pop(); }

std::optional<Command> NodeLine::next_within(std::chrono::milliseconds patience) {
  auto command = commands_.pop_for(patience);
  if (!command) return std::nullopt;
  return *std::move(command);
}

void NodeLine::send(FrameKind kind, Bytes body, Epoch epoch) {
  const std::scoped_lock lock(sending_);
  const auto status = link_->send(make_frame(kind, std::move(body), epoch));
  if (!status)
    log(LogLevel::debug, "pipeline", "the node did not take {}: {}", to_string(kind), status.error().message);
}

bool NodeLine::ended() const {
  const std::scoped_lock lock(mutex_);
  return end_cause_.has_value();
}

bool NodeLine::ended_within(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return end_cause_.has_value(); });
}

Error NodeLine::end_cause() const {
  const std::scoped_lock lock(mutex_);
  return end_cause_.value_or(Error{Code::internal, "[pipeline] the line to the node has not ended"});
}

NodeLine::Hooked NodeLine::on_end(EndHook hook) {
  const std::scoped_lock lock(mutex_);
  hook_ = std::move(hook);
  if (end_cause_) hook_(*end_cause_);
  return Hooked(*this);
}

// Taking the lock also waits for a call of the hook under way, after which what it refers to may go.
NodeLine::Hooked::~Hooked() {
  const std::scoped_lock lock(line_.mutex_);
  line_.hook_ = nullptr;
}

void NodeLine::read() {
  Frame frame;
  for (;;) {
    if (auto status = link_->receive(frame, for_ever); !status) return end(std::move(status).error());
    if (frame.header.kind == FrameKind::stop_stage)
      return end({Code::unavailable, "[pipeline] the model is being unloaded; load it again to go on"});
    if (const auto status = handle(frame); !status)
      log(LogLevel::warning, "pipeline", "{} from the node is passed over: {}", to_string(frame.header.kind),
          status.error().message);
  }
}

Status NodeLine::handle(const Frame& frame) {
  switch (frame.header.kind) {
    case FrameKind::prepare_stage: {
      FLOTILLA_TRY(auto prepare, decode_prepare_stage(frame.body));
      return commands_.push(std::move(prepare));
    }
    case FrameKind::connect_ring: {
      FLOTILLA_TRY(auto connect, decode_connect_ring(frame.body));
      return commands_.push(std::move(connect));
    }
    case FrameKind::generate: {
      FLOTILLA_TRY(auto request, decode_generate_request(frame.body));
      return commands_.push(std::move(request));
    }
    case FrameKind::cancel: {
      FLOTILLA_TRY(auto cancel, decode_cancel(frame.body));
      return commands_.push(cancel);
    }
    case FrameKind::embed: {
      FLOTILLA_TRY(auto request, decode_embed_request(frame.body));
      return commands_.push(std::move(request));
    }
    default:
      return fail(Code::unsupported, "[pipeline] expected a command for a runner but got {}",
                  to_string(frame.header.kind));
  }
}

void NodeLine::end(Error cause) {
  std::unique_lock lock(mutex_);
  if (finished_) return;
  end_cause_ = cause;
  if (hook_) hook_(cause);
  commands_.close(cause);
  changed_.notify_all();
  if (changed_.wait_for(lock, grace_, [&] { return finished_; })) return;
  log(LogLevel::warning, "pipeline", "the node is gone and a step still runs; the runner ends without it");
  std::_Exit(EXIT_FAILURE);
}

}  // namespace flotilla
