// One GET by libcurl, which brings proxies, TLS and every rule of HTTP. Redirects are not followed: who asks decides
// whether the next host may be asked, and what it may be told (hub_client.h).
//
// Thread: any; blocks. Never: keeps cookies, takes passwords from an address or from ~/.netrc, takes more than it was
// told to.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "base/result.h"

namespace flotilla {

using StopFn = std::function<bool()>;  // true: end as soon as possible

struct HubAnswer {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of several alike the last
  std::string body;                            // empty where on_bytes took it

  std::string header(const std::string& name) const;
  bool is_success() const { return status >= 200 && status < 300; }
  bool is_redirect() const;
};

struct HttpGet {
  std::string address;
  std::string token;         // as a bearer; empty: none
  std::uint64_t offset = 0;  // where not 0, a range from there to the end is asked for
  std::uint64_t end = 0;     // where not 0, a range that ends there
  std::size_t body_bytes_max = 0;
  std::chrono::milliseconds time_max{0};  // for all of it; 0: for ever
  std::chrono::seconds silence_max{20};
  // Of an answer with success, where set: its head, and then its bytes. An error ends the transfer and is passed on.
  std::function<Status(const HubAnswer&)> on_head = {};
  std::function<Status(std::span<const std::byte>)> on_bytes = {};
};

// closed: nobody answers, or the connection broke off. timeout: silence. Both may be tried again. unauthorized: the
// other end could not prove its name. too_large, cancelled, and whatever on_head and on_bytes say.
Result<HubAnswer> http_get(const HttpGet& request, const StopFn& stop);

}  // namespace flotilla
