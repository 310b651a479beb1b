// The gate: decides whether a request may pass to the route it is for. The router asks it for every request; nothing is
// answered around it.
//
// In: a request's headers and the two ends of its connection, what its route asks for, the keys there are now.
// Out: an error that refuses, or nothing.  Thread: the loop's. Pure but for asking for the keys. Never: logs, or tells
// what a key should have been.
//
//   1  Host names this machine, else 403: a page whose name was pointed here (DNS rebinding) says its own name
//   2  what changes something comes from no foreign page, else 403 (Origin, Sec-Fetch-Site)
//   3  a key that may, where there are keys or the caller is elsewhere, else 401 or 403
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/access.h"
#include "server/api_error.h"
#include "server/api_keys.h"
#include "server/http_exchange.h"

namespace flotilla {

struct GateRules {
  // This machine's, besides localhost; its addresses need no naming, the connection has them.
  std::vector<std::string> names;
  std::vector<std::string> origins;  // of pages that may use the API (authority.h); exact but for upper case
  bool no_auth = false;              // while there is no key, callers from elsewhere need none either
};

class Gate {
 public:
  using KeySource = std::function<const ApiKeys&()>;
  explicit Gate(GateRules rules = {}, KeySource keys = {});

  std::optional<ApiError> refusal(const HttpRequest& request, const Access& access) const;

  // What lets a page of a named origin read the answer, whatever it is. Never with credentials: keys are headers.
  std::vector<std::pair<std::string, std::string>> headers_for(const HttpRequest& request) const;
  bool names_origin(std::string_view origin) const;

 private:
  bool names_us(const HttpRequest& request) const;
  bool comes_from_foreign_page(const HttpRequest& request) const;
  std::optional<ApiError> key_refusal(const HttpRequest& request, const Access& access) const;

  GateRules rules_;
  KeySource keys_;
};

}  // namespace flotilla
