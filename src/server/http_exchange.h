// One HTTP request and the one answer it gets: what a route's handler holds.
//
// Exactly one of answer() or start_stream()…finish() is called; an exchange that is dropped before its answer is whole
// closes its connection, so that no client waits for ever. Thread: the loop's (dropping it: any).
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/body_budget.h"

namespace flotilla {

struct HttpRequest {
  std::string method;                        // upper case
  std::string path;                          // percent-decoded, begins with '/', no trailing '/'
  std::map<std::string, std::string> query;  // percent-decoded; the last of equal names counts
  std::string path_rest;                     // what the route's {…} stands for
  std::string content_type;                  // lower case, without parameters
  std::string body;
  std::shared_ptr<BodyBudget::Share> body_share;  // who takes the body takes this with it; none without one

  // What the gate looks at, each as it came and empty where there is none.
  std::string host;                                        // of the target where that names one, else the Host header
  std::string authorization, api_key;                      // api_key: the x-api-key header
  std::string origin, fetch_site;                          // fetch_site: Sec-Fetch-Site
  std::string accept, accept_encoding, if_none_match;      // what the page's files ask for (page.h)
  std::string wanted_method, wanted_headers;               // of a page that asks beforehand: Access-Control-Request-…
  std::string id;                                          // request_id.h
  boost::asio::ip::address remote_address, local_address;  // the connection's ends, plain (peer_address.h)

  std::vector<std::pair<std::string, std::string>> answer_headers;  // set by the router: on every answer to this
  std::string route;    // set by the router: whose handler it gets, as that was added; empty where none fits
  std::string account;  // set by that: what the log says of the answer beside its status; nothing a client wrote
};

// Data is somebody's: no browser takes it for a page, and nobody keeps it.
inline constexpr std::string_view data_policy = "default-src 'none'; frame-ancestors 'none'", never_kept = "no-store";

struct HttpAnswer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view policy = data_policy,
                   caching = never_kept;  // Content-Security-Policy, Cache-Control; static storage
};

enum class ExchangeEnd {
  gone,      // the client hung up, failed, or reads too slowly: nothing more can be said
  stopping,  // the server ends: say so and finish
};

class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual HttpRequest& request() = 0;

  virtual void answer(HttpAnswer answer) = 0;

  // Status 200 and the headers go out at once, then pieces as they come. send() after the client has gone does nothing.
  virtual void start_stream(std::string_view content_type) = 0;
  virtual void send(std::string piece) = 0;
  enum class After { keep_alive, close };
  virtual void finish(After after) = 0;

  // Called at most once, and only before the answer is whole. Keep no owner of the exchange in it.
  virtual void on_end(std::function<void(ExchangeEnd)> on_end) = 0;
};

}  // namespace flotilla
