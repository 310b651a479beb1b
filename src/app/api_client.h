// A client of the node's HTTP API, for the command line, by libcurl.
//
// Thread: one. Errors: unavailable where nobody answers at the address (the message says how to start a node), else the
// code and message the node gave; invalid_argument, with nothing sent, for a body with text that is no UTF-8.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

class ApiClient {
 public:
  // "http://localhost:52415"; a key goes with every request, to this address and, since redirects are not followed, to
  // no other.
  explicit ApiClient(std::string base_url, std::string key = {});

  Result<nlohmann::json> get(std::string_view path);
  Result<nlohmann::json> post(std::string_view path, const nlohmann::json& body);

  // Posts and hands each line of the answer on as it arrives (NDJSON, or SSE lines). on_line returns false to hang up.
  using OnLine = std::function<bool(std::string_view line)>;
  Status post_lines(std::string_view path, const nlohmann::json& body, const OnLine& on_line);

  void give_up_after(std::chrono::milliseconds patience) { patience_ = patience; }  // a whole answer; 0: never
  bool answers();  // a node does, be it to refuse
  const std::string& base_url() const { return base_url_; }
  const std::string& key() const { return key_; }

  static std::string escaped(std::string_view text);  // for a query or a path

 private:
  std::string base_url_, key_;
  std::chrono::milliseconds patience_{0};
};

}  // namespace flotilla
