// Decides how bytes over HTTP become requests and answers bytes: routes, dialects, streams, limits on input. In: HTTP.
// Out: calls on Backend.  Owns: the listening socket and its sessions.  Thread: the loop's. Never: computes, waits,
// answers around the gate, or answers a field it did not understand as if it had.
//
//   POST /v1/chat/completions  POST /v1/completions  POST /v1/responses  GET /v1/models  GET /v1/models/{id}
//   POST /v1/messages  POST /v1/messages/count_tokens                           (these and the former also without /v1)
//   POST /api/chat  POST /api/generate  POST /api/show  GET /api/tags  GET /api/ps  GET /api/version  POST /api/pull
//   DELETE /api/delete  (refused: POST /api/push  POST /api/create  POST /api/copy)
//   POST /v1/embeddings  POST /v1/rerank (also without /v1)  POST /api/embed  POST /api/embeddings
//   POST /tokenize  POST /detokenize
//   GET /health  GET /ready  GET /metrics  GET /cluster  GET /cluster/doctor  GET /placements  GET /models/{id}
//   GET /plan?model=  POST /load  POST /unload  POST /measure  GET /hub/models  GET /pulls  POST /pull  POST /delete
//   GET /members  GET /tokens  POST /token  POST /tokens/revoke  POST /join  POST /approve  POST /revoke  POST /leave
//   GET / and the page's files (page.h)
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "server/backend.h"
#include "server/gate.h"
#include "server/page.h"

namespace flotilla {

// What a client may cost us. Tests set smaller ones.
struct ServerLimits {
  std::size_t target_bytes_max = limits::http_target_bytes_max;
  std::size_t header_bytes_max = limits::http_header_bytes_max;  // the request line counted
  std::size_t header_fields_max = limits::http_header_fields_max;
  std::size_t body_bytes_max = limits::http_body_bytes_max;
  std::size_t bodies_bytes_max = limits::http_bodies_bytes_max;  // of all connections; beyond, 503
  std::size_t json_depth_max = limits::json_depth_max;
  std::size_t stream_events_queued_max = limits::stream_events_queued_max;  // beyond, a slow client is cancelled
  std::size_t choices_running_max = limits::requests_queued_max;            // beyond, 429
  // Of one request, all its choices as they go to the head's node: what a connection takes of them at once.
  std::size_t request_bytes_max = limits::offered_bytes_max;
  // Connections from this machine, and as many from all others together; beyond, 503 and closed. From each of those
  // per_address_max; beyond, 429 and closed.
  std::size_t connections_max = limits::http_connections_max;
  std::size_t connections_per_address_max = limits::http_connections_per_address_max;
  // From the connection or the header's first byte.
  std::chrono::milliseconds header_time_max = limits::http_header_time_max;
  std::chrono::milliseconds body_time_max{120'000};  // for a whole body
  std::chrono::milliseconds write_time_max{60'000};  // without the client taking a byte
  std::chrono::milliseconds idle_time_max{75'000};   // between two requests of a connection
  std::chrono::milliseconds stream_keepalive = limits::stream_keepalive;
  // Headers of a stream wait so long for a refusal, which has a status then.
  std::chrono::milliseconds stream_grace{100};
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  ServerLimits limits;
  GateRules gate;
  Gate::KeySource keys;  // asked for at each request; none: there are no keys
  PageFiles page;        // none: the program was built without it
};

struct RouteInfo {
  std::string method, path;
  Access access;
};

class Server {
 public:
  // busy where the port is taken (who could have it, which flag changes it); unauthorized where others can reach the
  // address and there is neither a key nor gate.no_auth.
  static Result<std::unique_ptr<Server>> start(boost::asio::io_context& loop, ServerOptions options, Backend& backend);
  virtual ~Server() = default;
  virtual std::uint16_t port() const = 0;
  virtual bool is_local() const = 0;  // only programs of this machine reach its address
  virtual void stop() = 0;            // no new connections; open streams end with an error event
  virtual std::vector<RouteInfo> routes() const = 0;
};

}  // namespace flotilla
