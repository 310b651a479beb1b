// A server without a model, to try clients against: scripted_server [PORT [CONTEXT_TOKENS]]. Prints the address it
// listens on. A token is a byte: agents say 80,000 of them before the first word of their users.
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <print>

#include "server/scripted_backend.h"
#include "server/server.h"

int main(int argc, char** argv) {
  boost::asio::io_context loop;
  flotilla::ScriptedBackend backend(loop, std::chrono::milliseconds(2));
  flotilla::ServerOptions options;
  if (argc > 1) options.port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  if (argc > 2) backend.context_tokens = static_cast<std::uint32_t>(std::atoi(argv[2]));
  auto server = flotilla::Server::start(loop, options, backend);
  if (!server) {
    std::println(stderr, "{}", server.error().message);
    return 1;
  }
  std::println("http://127.0.0.1:{}/v1", (*server)->port());
  std::fflush(stdout);
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](auto, int) {
    (*server)->stop();
    loop.stop();
  });
  loop.run();
}
