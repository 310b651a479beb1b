#include "app/top_view.h"

#include <format>
#include <vector>

#include "app/json_fields.h"
#include "app/terminal.h"
#include "base/units.h"

namespace flotilla {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

bool is_member(std::string_view state) { return state == "self" || state == "joined" || state == "suspect"; }

std::string machines_text(const json& placement) {
  std::string text;
  for (const json& stage : placement.value("stages", json::array())) {
    const json layers = stage.value("layers", json::array({0, 0}));
    for (const json& node : stage.value("nodes", json::array()))
      text += std::format("{}{} {}–{}", text.empty() ? "" : ", ", node.get<std::string>(), layers[0].get<int>(),
                          layers[1].get<int>() - 1);
  }
  return text;
}

std::string rate_text(double tokens_per_second) {
  return tokens_per_second < 0 ? "-" : std::format("{:.1f}", tokens_per_second);
}

std::string ago(double seconds) {
  return seconds < 90 ? std::format("{:.0f} s ago", seconds) : std::format("{:.0f} min ago", seconds / 60);
}

}  // namespace

void TopView::take(const json& cluster, const json& placements, double at) {
  at_ = at;
  compare_nodes(cluster, at);
  compare_models(placements, at);
  compare_waiting(placements, at);
  is_first_ = false;
}

void TopView::note(std::string event, double at) {
  at_ = at;
  events_.emplace_front(at, std::move(event));
  if (events_.size() > events_max) events_.pop_back();
}

// Of machines that are merely seen several may have one name, and they come and go as they like.
void TopView::compare_nodes(const json& cluster, double at) {
  nodes_ = cluster.value("nodes", json::array());
  std::map<std::string, std::string> states;
  for (const json& node : nodes_)
    if (is_member(text_of(node, "state"))) states[text_of(node, "name")] = text_of(node, "state");
  if (!is_first_) {
    for (const auto& [name, state] : states) {
      const auto before = states_.find(name);
      if (before == states_.end())
        note(std::format("{} joined", name), at);
      else if (before->second != state)
        note(std::format("{} is {}", name, state == "suspect" ? "silent" : "back"), at);
    }
    for (const auto& [name, state] : states_)
      if (!states.contains(name)) note(std::format("{} is gone", name), at);
  }
  states_ = std::move(states);
}

void TopView::compare_models(const json& placements, double at) {
  std::map<std::string, Model> models;
  for (const json& placement : placements.value("placements", json::array())) {
    const std::string name = text_of(placement, "model");
    Model model{.state = text_of(placement, "state"),
                .detail = text_of(placement, "detail"),
                .epoch = std::format("{}.{}", number_of(placement, "incarnation"), number_of(placement, "epoch")),
                .tokens = {},
                .machines = machines_text(placement)};
    const auto before = models_.find(name);
    const bool is_same = before != models_.end() && before->second.epoch == model.epoch;
    if (is_same) model.tokens = before->second.tokens;
    if (const auto stats = placement.find("stats"); stats != placement.end()) {
      model.tokens.emplace_back(at, number_of(*stats, "tokens"));
      model.running = number_of(*stats, "running");
      model.queued = number_of(*stats, "queued");
    }
    while (model.tokens.size() > 2 && at - model.tokens[1].first >= rate_window_seconds) model.tokens.pop_front();
    if (!is_first_ && (!is_same || before->second.state != model.state))
      note(std::format("{} is {}{}", name, model.state, model.detail.empty() ? "" : ": " + model.detail), at);
    // One that moves is there twice; the one that answers counts.
    if (const auto twin = models.find(name); twin == models.end() || model.state == "ready")
      models[name] = std::move(model);
  }
  if (!is_first_)
    for (const auto& [name, model] : models_)
      if (!models.contains(name)) note(std::format("{} is no longer loaded", name), at);
  models_ = std::move(models);
}

void TopView::compare_waiting(const json& placements, double at) {
  waiting_ = placements.value("waiting", json::array());
  std::map<std::string, std::uint64_t> waits;
  std::map<std::string, std::string> details;
  for (const json& waiting : waiting_) {
    waits[text_of(waiting, "model")] += number_of(waiting, "requests");
    details[text_of(waiting, "model")] = text_of(waiting, "detail");
  }
  for (const auto& [model, requests] : waits)
    if (!waits_.contains(model))
      note(std::format("{} was lost; {} answers wait: {}", model, requests, details[model]), at);
  waits_ = std::move(waits);
}

// Below 0: not known.
double TopView::rate_of(const Model& model) {
  if (model.tokens.size() < 2) return -1;
  const auto& [first_at, first] = model.tokens.front();
  const auto& [last_at, last] = model.tokens.back();
  return last_at > first_at && last >= first ? static_cast<double>(last - first) / (last_at - first_at) : -1;
}

ordered_json TopView::state() const {
  auto nodes = ordered_json::array(), models = ordered_json::array(), events = ordered_json::array();
  for (const auto& node : nodes_)
    nodes.push_back({{"name", text_of(node, "name")},
                     {"state", text_of(node, "state")},
                     {"memory_bytes", number_of(node, "memory_bytes")},
                     {"memory_free_bytes", number_of(node, "memory_free_bytes")}});
  for (const auto& [name, model] : models_) {
    const double rate = rate_of(model);
    models.push_back({{"model", name},
                      {"state", model.state},
                      {"tokens_per_second", rate < 0 ? ordered_json() : ordered_json(rate)},
                      {"running", model.running},
                      {"queued", model.queued},
                      {"machines", model.machines},
                      {"detail", model.detail}});
  }
  for (const auto& [at, text] : events_) events.push_back({{"seconds_ago", at_ - at}, {"text", text}});
  return {{"nodes", nodes}, {"models", models}, {"waiting", waiting_}, {"events", events}};
}

std::string TopView::text() const {
  std::vector<std::vector<std::string>> machines{{"MACHINE", "STATE", "OFFERS", "FREE", ""}};
  std::uint64_t members = 0, memory = 0, running = 0, queued = 0;
  for (const auto& node : nodes_) {
    machines.push_back({text_of(node, "name"), text_of(node, "state"), format_bytes(number_of(node, "memory_bytes")),
                        format_bytes(number_of(node, "memory_free_bytes")), text_of(node, "reason")});
    if (!is_member(text_of(node, "state"))) continue;
    ++members;
    memory += number_of(node, "memory_bytes");
  }
  std::vector<std::vector<std::string>> models{{"MODEL", "STATE", "TOK/S", "RUNNING", "WAITING", "LAYERS ON", ""}};
  double rate = 0;
  for (const auto& [name, model] : models_) {
    models.push_back({name, model.state, rate_text(rate_of(model)), std::to_string(model.running),
                      std::to_string(model.queued), model.machines, model.detail});
    rate += std::max(rate_of(model), 0.0);
    running += model.running;
    queued += model.queued;
  }
  std::string text = std::format("{} machine{}, {} offered; {} model{}, {:.1f} tok/s, {} running, {} waiting\n\n",
                                 members, members == 1 ? "" : "s", format_bytes(memory), models_.size(),
                                 models_.size() == 1 ? "" : "s", rate, running, queued);
  text += draw_columns(machines) + "\n";
  text += models.size() == 1 ? "Nothing is loaded.\n" : draw_columns(models);
  for (const auto& waiting : waiting_)
    text += std::format("  {} is to be loaded again; answers at {} that wait: {}; {}\n", text_of(waiting, "model"),
                        text_of(waiting, "node"), number_of(waiting, "requests"), text_of(waiting, "detail"));
  if (!events_.empty()) text += "\n";
  for (const auto& [at, event] : events_) text += std::format("  {}: {}\n", ago(at_ - at), event);
  return text;
}

}  // namespace flotilla
