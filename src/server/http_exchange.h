// One HTTP request and the one answer it gets: what a route's handler holds.
//
// Exactly one of answer() or start_stream()…finish() is called; an exchange that is dropped before its answer is whole
// closes its connection, so that no client waits for ever. Thread: the loop's (dropping it: any).
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flotilla {

struct HttpRequest {
  std::string method;                        // upper case
  std::string path;                          // percent-decoded, begins with '/', no trailing '/'
  std::map<std::string, std::string> query;  // percent-decoded; the last of equal names counts
  std::string path_rest;                     // what the route's {…} stands for
  std::string content_type;                  // lower case, without parameters
  std::string authorization;                 // as it came; empty where there is none
  std::string body;
};

struct HttpAnswer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
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
