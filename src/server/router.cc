#include "server/router.h"

#include <format>
#include <utility>

namespace flotilla {
namespace {

std::string_view prefix(std::string_view route_path) { return route_path.substr(0, route_path.find('{')); }

bool matches(std::string_view route_path, std::string_view path) {
  if (!route_path.ends_with('}')) return route_path == path;
  return path.starts_with(prefix(route_path)) && path.size() > prefix(route_path).size();
}

// A path in a message: as the client wrote it, but not at any length.
std::string shown(std::string_view path) {
  return path.size() <= 200 ? std::string(path) : std::string(path.substr(0, 200)) + "…";
}

ApiError wrong_method(std::string_view method, std::string_view path, std::string_view allowed) {
  return {.error = {Code::invalid_argument,
                    std::format("[server] expected {} for {} but got {}", allowed, shown(path), method)},
          .param = {},
          .name = "method_not_allowed",
          .status = 405};
}

ApiError unknown_route(std::string_view method, std::string_view path) {
  return {
      .error = {Code::not_found, std::format("[server] expected a known path but got {} {}; GET / names the first ones",
                                             method, shown(path))},
      .param = {},
      .name = "unknown_url",
      .status = 404};
}

ApiError wrong_media_type(std::string_view type) {
  return {.error = {Code::unsupported,
                    std::format("[server] expected Content-Type: application/json but got {}; with curl, "
                                "add -H 'Content-Type: application/json'",
                                type.empty() ? "none" : shown(type))},
          .param = {},
          .name = "unsupported_media_type",
          .status = 415};
}

bool is_json(std::string_view type) {
  return type == "application/json" || (type.starts_with("application/") && type.ends_with("+json"));
}

// Programs of Ollama's name none. A page of another site could do the same, but its browser says where it comes from,
// and this must not say so at all.
bool is_taken_for_json(const HttpRequest& request) {
  const bool is_page = !request.origin.empty() || !request.fetch_site.empty();
  const bool is_nameless = request.content_type.empty() && !is_page && request.path.starts_with("/api/");
  return is_nameless || is_json(request.content_type);
}

}  // namespace

void Router::add(std::string method, std::string path, Access access, Handler handler, ErrorForm errors) {
  routes_.push_back({std::move(method), std::move(path), access, std::move(handler), errors});
}

const Router::Route* Router::find(std::string_view method, std::string_view path) const {
  for (const auto& route : routes_) {
    if (route.method == method && matches(route.path, path)) return &route;
  }
  return nullptr;
}

const Router::Route* Router::route_of(const HttpRequest& request) const {
  return find(request.method == "HEAD" ? std::string_view("GET") : request.method, request.path);
}

std::string Router::allowed(std::string_view path) const {
  std::string methods;
  const auto append = [&](std::string_view method) { methods += (methods.empty() ? "" : ", ") + std::string(method); };
  if (find("GET", path) != nullptr) append("GET, HEAD");
  for (const char* method : {"POST", "DELETE"})
    if (find(method, path) != nullptr) append(method);
  if (!methods.empty()) append("OPTIONS");
  return methods;
}

// A browser asks whether a page of another site may send what it wants to; that question carries no key.
bool Router::asks_beforehand(const HttpRequest& request) const {
  return request.method == "OPTIONS" && !request.wanted_method.empty() && gate_.names_origin(request.origin);
}

std::optional<HttpAnswer> Router::refusal(HttpRequest& request) const {
  request.answer_headers = gate_.headers_for(request);
  const auto* route = route_of(request);
  if (route != nullptr) request.route = route->path;
  const auto access = route != nullptr ? route->access : asks_beforehand(request) ? Access::open() : Access::any_key();
  const auto refused = gate_.refusal(request, access);
  if (!refused) return std::nullopt;
  return route != nullptr ? route->errors(*refused) : error_answer(*refused);
}

HttpAnswer Router::options_answer(const HttpRequest& request, const std::string& methods) const {
  HttpAnswer answer{.status = 204, .content_type = {}, .body = {}, .headers = {{"Allow", methods}}};
  if (!asks_beforehand(request)) return answer;
  answer.headers.emplace_back("Access-Control-Allow-Methods", methods);
  answer.headers.emplace_back("Access-Control-Max-Age", "600");
  // As wished: clients have headers of their own (x-stainless-…), and none of ours grants anything but the key.
  if (!request.wanted_headers.empty())
    answer.headers.emplace_back("Access-Control-Allow-Headers", request.wanted_headers);
  return answer;
}

void Router::serve(std::shared_ptr<HttpExchange> exchange) const {
  auto& request = exchange->request();
  if (auto refused = refusal(request)) return exchange->answer(std::move(*refused));
  if (const auto* route = route_of(request)) {
    if (route->method == "POST" && !is_taken_for_json(request)) {
      return exchange->answer(route->errors(wrong_media_type(request.content_type)));
    }
    if (route->path.ends_with('}')) request.path_rest = request.path.substr(prefix(route->path).size());
    return route->handler(std::move(exchange));
  }
  const auto methods = allowed(request.path);
  if (methods.empty()) return exchange->answer(error_answer(unknown_route(request.method, request.path)));
  if (request.method == "OPTIONS") return exchange->answer(options_answer(request, methods));
  auto answer = error_answer(wrong_method(request.method, request.path, methods));
  answer.headers.emplace_back("Allow", methods);
  exchange->answer(std::move(answer));
}

std::vector<RouteInfo> Router::routes() const {
  std::vector<RouteInfo> infos;
  for (const auto& route : routes_) infos.push_back({route.method, route.path, route.access});
  return infos;
}

}  // namespace flotilla
