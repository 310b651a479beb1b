// What `flotilla top` shows: the fleet now, how fast its models answer, and what has just happened, out of bodies of
// GET /cluster and GET /placements as they come. Pure: time is passed in.
#pragma once

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace flotilla {

class TopView {
 public:
  static constexpr std::size_t events_max = 8;
  static constexpr double rate_window_seconds = 6;  // heads hear from their runners once a second

  // `at` rises, in seconds from wherever.
  void take(const nlohmann::json& cluster, const nlohmann::json& placements, double at);
  void note(std::string event, double at);  // what the caller itself has noticed

  nlohmann::ordered_json state() const;  // for scripts: docs/operating.md
  std::string text() const;              // for people: several lines, each as long as it is

 private:
  struct Model {
    std::string state, detail, epoch;
    std::deque<std::pair<double, std::uint64_t>> tokens;  // when, and how many so far; empty: its head is elsewhere
    std::uint64_t running = 0, queued = 0;
    std::string machines;  // "studio 0–17, laptop 18–29"
  };
  void compare_nodes(const nlohmann::json& cluster, double at);
  void compare_models(const nlohmann::json& placements, double at);
  void compare_waiting(const nlohmann::json& placements, double at);
  static double rate_of(const Model& model);

  nlohmann::json nodes_ = nlohmann::json::array(), waiting_ = nlohmann::json::array();
  std::map<std::string, std::string> states_;  // of machines, by name
  std::map<std::string, Model> models_;
  std::map<std::string, std::uint64_t> waits_;         // requests that wait, by model
  std::deque<std::pair<double, std::string>> events_;  // newest first
  double at_ = 0;
  bool is_first_ = true;
};

}  // namespace flotilla
