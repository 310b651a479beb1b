#include "server/gate.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <format>

#include "base/words.h"
#include "server/authority.h"
#include "server/key_scope.h"
#include "server/peer_address.h"

namespace flotilla {
namespace {

constexpr std::size_t shown_bytes_max = 100;  // of what a client wrote, in a message

std::string shown(std::string_view text) {
  return text.size() <= shown_bytes_max ? std::string(text) : std::string(text.substr(0, shown_bytes_max)) + "…";
}

ApiError refused(unsigned status, std::string name, std::string message) {
  return {.error = {status == 401 ? Code::unauthorized : Code::permission, "[server] " + std::move(message)},
          .param = {},
          .name = std::move(name),
          .status = status};
}

ApiError unauthorized(std::string name, std::string message) {
  const bool wrong = name == "invalid_api_key";
  auto error = refused(401, std::move(name), std::move(message));
  error.headers.emplace_back(
      "WWW-Authenticate", wrong ? R"(Bearer realm="flotilla", error="invalid_token")" : R"(Bearer realm="flotilla")");
  return error;
}

bool is_from_this_machine(const HttpRequest& request) {
  return flotilla::is_from_this_machine(request.remote_address, request.local_address);
}

Scope first_of(Scopes scopes) {
  return *std::ranges::find_if(all_scopes, [&](Scope scope) { return scopes.has(scope) || scope == Scope::admin; });
}

// A look at what anyone may see does nothing; any other may: search a hub, read a disk, knock at the fleet's doors.
bool acts(const HttpRequest& request, const Access& access) {
  const bool looks = request.method == "GET" || request.method == "HEAD";
  return request.method != "OPTIONS" && !(looks && access.is_open());
}

}  // namespace

Gate::Gate(GateRules rules, KeySource keys) : rules_(std::move(rules)), keys_(std::move(keys)) {
  std::vector<std::string> names;  // what can stand in Host
  for (const std::string& name : rules_.names)
    if (auto authority = parse_authority(name)) names.push_back(std::move(authority->host));
  rules_.names = std::move(names);
  for (std::string& origin : rules_.origins) origin = lower_case(origin);
  if (!keys_) keys_ = [none = ApiKeys()]() -> const ApiKeys& { return none; };
}

bool Gate::names_origin(std::string_view origin) const { return std::ranges::contains(rules_.origins, origin); }

std::optional<ApiError> Gate::refusal(const HttpRequest& request, const Access& access) const {
  if (!names_us(request)) {
    return refused(
        403, "host_not_allowed",
        std::format("expected the Host header to name this machine but got {}; ask http://localhost, its own "
                    "name or its address, or start it with: flotilla serve --api-name NAME",
                    shown(request.host)));
  }
  if (acts(request, access) && comes_from_foreign_page(request)) {
    return refused(
        403, "origin_not_allowed",
        std::format("expected no request from the page of another site but got one of {}; where that page may use this "
                    "machine, start it with: flotilla serve --cors-origin ORIGIN",
                    request.origin.empty() ? "a site that is not named" : shown(request.origin)));
  }
  return access.is_open() ? std::nullopt : key_refusal(request, access);
}

// HTTP/1.0 may come without Host; browsers never do.
bool Gate::names_us(const HttpRequest& request) const {
  if (request.host.empty()) return true;
  const auto authority = parse_authority(request.host);
  if (!authority) return false;
  if (authority->host == "localhost" || std::ranges::contains(rules_.names, authority->host)) return true;
  boost::system::error_code error;
  const auto address = plain_address(boost::asio::ip::make_address(authority->host, error));
  return !error && (address.is_loopback() || address == request.local_address);
}

bool Gate::comes_from_foreign_page(const HttpRequest& request) const {
  if (names_origin(request.origin)) return false;
  if (request.origin.empty()) return request.fetch_site == "cross-site" || request.fetch_site == "same-site";
  // Host is one of our names by now. The scheme is not compared: a proxy before us may speak TLS.
  const auto origin = authority_of_origin(request.origin);
  return !origin || origin != parse_authority(request.host);
}

std::optional<ApiError> Gate::key_refusal(const HttpRequest& request, const Access& access) const {
  const ApiKeys& keys = keys_();
  const bool is_near = is_from_this_machine(request);
  if (keys.empty() && (is_near || rules_.no_auth)) return std::nullopt;
  const auto text = presented_key(request);
  if (text.empty()) {
    return unauthorized("missing_api_key",
                        "expected an API key but got none; send it as Authorization: Bearer sk-… or x-api-key: sk-… "
                        "(flotilla's own commands: --key or FLOTILLA_KEY). On this node's machine, flotilla key create "
                        "makes one");
  }
  const auto scopes = keys.scopes_of(text, is_near);
  if (!scopes) {
    return unauthorized("invalid_api_key",
                        "expected a key of this node but got one it does not know; on its machine, flotilla key list "
                        "shows which there are and flotilla key create makes one");
  }
  if (access.granted_to(*scopes)) return std::nullopt;
  return refused(
      403, "insufficient_scope",
      std::format("expected a key with scope {} but this one has {}; on this node's machine, make another "
                  "with: flotilla key create --scope {}",
                  access.scopes().joined(" or "), scopes->joined(", "), to_string(first_of(access.scopes()))));
}

std::vector<std::pair<std::string, std::string>> Gate::headers_for(const HttpRequest& request) const {
  if (!names_origin(request.origin)) return {};
  return {{"Access-Control-Allow-Origin", request.origin},
          {"Access-Control-Expose-Headers", "Retry-After, X-Request-Id"},
          {"Vary", "Origin"}};
}

}  // namespace flotilla
