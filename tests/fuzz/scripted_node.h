// A scripted node for the server's targets: one thread does everything, so that a run is the same each time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "server/scripted_backend.h"
#include "wire/generate.h"

namespace flotilla::fuzz {

class ScriptedNode : public ScriptedBackend {
 public:
  explicit ScriptedNode(boost::asio::io_context& loop) : ScriptedBackend(loop), loop_(loop) {
    context_tokens = context;
    endless_bytes_max = 48;  // whole answers are streamed, and most of a run is that
    on_generate = [](const GenerateRequest& request) {
      const auto sent = decode_generate_request(encode(request));
      claim(sent && *sent == request, "what the API accepts, the wire carries");
      claim(request.prompt.size() + request.tokens_max <= context, "a prompt and its answer fit the context");
    };
  }
  void run_aside(std::function<void()> work, std::function<void()> done) override {
    work();
    boost::asio::post(loop_, std::move(done));
  }
  // What waits for a test to go on is let go.
  void forget() {
    held.clear();
    finish_opening({});
  }

 private:
  static constexpr std::uint32_t context = 256;  // tokens: room for a call of a tool in a chat

  boost::asio::io_context& loop_;
};

inline void run_until_idle(boost::asio::io_context& loop) {
  loop.restart();
  while (loop.poll() > 0) loop.restart();
}

}  // namespace flotilla::fuzz
