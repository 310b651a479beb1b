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
  }
  void generate(GenerateRequest request, OnToken on_token) override {
    claim(request.prompt.size() + request.tokens_max <= context, "a prompt and its answer fit the context");
    // A body can want a hundred answers, which say no more than a few do and take as much longer.
    if (++answers_ <= looked_at_max)
      claim_the_wire_carries(request);
    else
      request.tokens_max = 1;
    ScriptedBackend::generate(std::move(request), std::move(on_token));
  }
  void run_aside(std::function<void()> work, std::function<void()> done) override {
    work();
    boost::asio::post(loop_, std::move(done));
  }
  // What waits for a test to go on is let go, and the next input begins anew.
  void forget() {
    held.clear();
    answers_ = 0;
    finish_opening({});
  }

 private:
  static constexpr std::uint32_t context = 256;  // tokens: room for a call of a tool in a chat
  static constexpr std::uint32_t looked_at_max = 6;

  static void claim_the_wire_carries(const GenerateRequest& request) {
    const auto sent = decode_generate_request(encode(request));
    claim(sent && *sent == request, "what the API accepts, the wire carries");
  }

  boost::asio::io_context& loop_;
  std::uint32_t answers_ = 0;  // to this input
};

inline void run_until_idle(boost::asio::io_context& loop) {
  loop.restart();
  while (loop.poll() > 0) loop.restart();
}

}  // namespace flotilla::fuzz
