// Counts what clients asked and how they were answered, since this node started: the server's part of GET /metrics
// (docs/operating.md). In: ended exchanges, the steps of generations.  Out: text.  Owns: the counts.  Thread: the
// loop's. Never: keeps or tells what a client wrote; routes, methods and models are among those we know.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/result.h"

namespace flotilla {

inline constexpr unsigned status_client_gone = 499;  // of those that hung up before their answer was whole

// What the answers of one model cost and how quick they were.
struct ModelTraffic {
  std::uint64_t prompt_tokens = 0, reused_tokens = 0, generated_tokens = 0, embedded_texts = 0;
  std::uint64_t running = 0;                           // answers under way, one per choice
  std::map<std::string_view, std::uint64_t> finished;  // by reason; of static storage
  Histogram first_token{first_token_bounds()}, between_tokens{between_tokens_bounds()}, whole{answer_bounds()};
};

class ServerTraffic {
 public:
  static constexpr std::size_t models_max = 256;  // told apart; later ones are counted as "other"
  using Seconds = std::chrono::duration<double>;

  // `route` as the router has it, empty where there is none.
  void answered(std::string_view route, std::string_view method, unsigned status, Seconds took);
  void connected() { ++connections_open_; }
  void disconnected() { --connections_open_; }
  void turned_away() { ++connections_refused_; }
  void failed(Code code) { ++failures_[to_string(code)]; }
  ModelTraffic& of(const std::string& model);

  void write(MetricsText& text) const;

 private:
  struct Answered {
    std::string route, method;
    unsigned status = 0;
    auto operator<=>(const Answered&) const = default;
  };
  void write_http(MetricsText& text) const;
  void write_tokens(MetricsText& text) const;
  void write_times(MetricsText& text) const;

  std::map<Answered, std::uint64_t> requests_;
  std::map<std::string, Histogram> took_;  // by route
  std::uint64_t connections_open_ = 0, connections_refused_ = 0;
  std::map<std::string_view, std::uint64_t> failures_;
  std::map<std::string, ModelTraffic> models_;
};

}  // namespace flotilla
