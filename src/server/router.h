// Decides which handler answers a request, and answers for those that none does: 404, 405 with Allow, OPTIONS, HEAD.
// Asks the gate first, for every request, by what its route says it needs.
//
// Because every POST must be application/json, a page of another site has to ask beforehand (OPTIONS), and is told
// nothing that would let it go on unless the gate's rules name it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/access.h"
#include "server/api_error.h"
#include "server/gate.h"
#include "server/http_exchange.h"
#include "server/server.h"

namespace flotilla {

class Router {
 public:
  using Handler = std::function<void(std::shared_ptr<HttpExchange>)>;

  explicit Router(Gate gate) : gate_(std::move(gate)) {}

  // A path may end with "/{name}", which stands for one or more segments: model names contain slashes. `errors`: how
  // what is refused before the handler is reached looks to this route's clients.
  void add(std::string method, std::string path, Access access, Handler handler, ErrorForm errors = error_answer);

  // What the gate says against a request, by its headers alone; nothing where it may pass. serve() asks by itself; a
  // session asks before it reads a body. Sets request.answer_headers.
  std::optional<HttpAnswer> refusal(HttpRequest& request) const;
  void serve(std::shared_ptr<HttpExchange> exchange) const;
  std::vector<RouteInfo> routes() const;

 private:
  struct Route {
    std::string method, path;
    Access access;
    Handler handler;
    ErrorForm errors;
  };
  const Route* find(std::string_view method, std::string_view path) const;
  const Route* route_of(const HttpRequest& request) const;
  std::string allowed(std::string_view path) const;
  bool asks_beforehand(const HttpRequest& request) const;
  HttpAnswer options_answer(const HttpRequest& request, const std::string& methods) const;

  Gate gate_;
  std::vector<Route> routes_;
};

}  // namespace flotilla
