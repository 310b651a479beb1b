// Decides how bytes over HTTP become requests and answers bytes: routes, the OpenAI dialect, server-sent events, limits on
// input. In: HTTP.  Out: calls on Backend.  Owns: the listening socket and its sessions.  Thread: the loop's.
// Never: computes, waits, or answers a field it did not understand as if it had.
//
//   POST /v1/chat/completions   POST /v1/completions   GET /v1/models   GET /v1/models/{id}      (also without /v1)
//   GET /health  GET /ready  GET /cluster  GET /placements  GET /models/{id}  GET /plan?model=  POST /load  POST /unload
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/backend.h"

namespace flotilla {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
};

struct RouteInfo { std::string method, path; };

class Server {
 public:
  // busy where the port is taken (who could have it, which flag changes it).
  static Result<std::unique_ptr<Server>> start(boost::asio::io_context& loop, ServerOptions options, Backend& backend);
  virtual ~Server() = default;
  virtual std::uint16_t port() const = 0;
  virtual void stop() = 0;                        // no new connections; open streams end with an error event
  virtual std::vector<RouteInfo> routes() const = 0;
};

}  // namespace flotilla
