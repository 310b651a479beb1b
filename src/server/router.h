// Decides which handler answers a request, and answers for those that none does: 404, 405 with Allow, OPTIONS, HEAD.
//
// No CORS headers are ever sent: a page from elsewhere may not read our answers, and because every POST must be
// application/json it cannot make us act either.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_exchange.h"
#include "server/server.h"

namespace flotilla {

class Router {
 public:
  using Handler = std::function<void(std::shared_ptr<HttpExchange>)>;

  // A path may end with "/{name}", which stands for one or more segments: model names contain slashes.
  void add(std::string method, std::string path, Handler handler);
  void serve(std::shared_ptr<HttpExchange> exchange) const;
  std::vector<RouteInfo> routes() const;

 private:
  struct Route {
    std::string method, path;
    Handler handler;
  };
  const Route* find(std::string_view method, std::string_view path) const;
  std::string allowed(std::string_view path) const;

  std::vector<Route> routes_;
};

}  // namespace flotilla
