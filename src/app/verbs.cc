#include "app/verbs.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <print>
#include <utility>

#include "app/api_client.h"
#include "app/client_key.h"
#include "app/exit_codes.h"
#include "app/interrupt.h"
#include "app/json_fields.h"
#include "app/load_request.h"
#include "app/model_name.h"
#include "app/terminal.h"
#include "base/units.h"
#include "base/words.h"

namespace flotilla {
namespace {

using nlohmann::json;

constexpr std::size_t detail_in_column_max = 40;  // "copying layers to studio" fits

std::string bytes_of_field(const json& object, const char* key) { return format_bytes(number_of(object, key)); }

// What a machine reads from memory in a second; empty where it has not measured that yet.
std::string rate_text(const json& node) {
  const auto rates = node.find("rates");
  if (rates == node.end() || !rates->is_object()) return "";
  return std::format("{:.1f} GB/s", rates->value("memory_bytes_per_second", 0.0) / 1e9);
}

// What is worth a word: why it is not joined, or that its power may end.
std::string remark_on(const json& node) {
  if (const std::string reason = text_of(node, "reason"); !reason.empty()) return reason;
  if (node.value("on_battery", json()) != json(true)) return "";
  const auto percent = number_of(node, "battery_percent");
  return percent > 0 ? std::format("on battery at {} %", percent) : "on battery";
}

std::string layers_text(const json& stage) {
  const json layers = stage.value("layers", json::array({0, 0}));
  return std::format("{}–{}", layers[0].get<std::uint32_t>(),
                     layers[1].get<std::uint32_t>() - (layers[1] > layers[0] ? 1 : 0));
}

std::string stages_text(const json& placement) {
  std::string text;
  for (const json& stage : placement.value("stages", json::array()))
    for (const json& node : stage.value("nodes", json::array()))
      text += std::format("{}{} {}", text.empty() ? "" : ", ", node.get<std::string>(), layers_text(stage));
  return text;
}

void next_step(const VerbOptions& options, std::string_view text) {
  if (!options.json && is_terminal(fileno(stdout))) std::println("\n{}", text);
}

// Every listing goes this way: fetch, print as JSON, or draw.
template <class Draw>
int fetch_and_print(const VerbOptions& options, const std::string& path, const Draw& draw) {
  ApiClient client(options.api_url, client_key(options));
  const auto body = client.get(path);
  if (!body) return report(body.error());
  if (options.json)
    std::println("{}", body->dump(2));
  else
    draw(*body);
  return exit_ok;
}

json wishes_json(const LoadWishes& wishes) {
  json body{{"model", wishes.model}, {"mode", wishes.mode}};
  if (!wishes.nodes.empty()) body["nodes"] = wishes.nodes;
  if (!wishes.layers.empty()) body["layers"] = wishes.layers;
  if (wishes.context_tokens > 0) body["context"] = wishes.context_tokens;
  if (wishes.sequences > 0) body["sequences"] = wishes.sequences;
  return body;
}

std::string wishes_query(const LoadWishes& wishes) {
  std::string query = "model=" + ApiClient::escaped(wishes.model) + "&mode=" + wishes.mode;
  const auto joined = [](const auto& items) {
    std::string text;
    for (const auto& item : items) text += std::format("{}{}", text.empty() ? "" : ",", item);
    return ApiClient::escaped(text);
  };
  if (!wishes.nodes.empty()) query += "&nodes=" + joined(wishes.nodes);
  if (!wishes.layers.empty()) query += "&layers=" + joined(wishes.layers);
  if (wishes.context_tokens > 0) query += std::format("&context={}", wishes.context_tokens);
  if (wishes.sequences > 0) query += std::format("&sequences={}", wishes.sequences);
  return query;
}

std::string speed_of(const json& rate) {
  const double value = real_of(rate, "tokens_per_second");
  return std::format("{:.{}f}", value, value < 9.95 ? 1 : 0);
}

void draw_plan(const json& plan) {
  std::println("{}", text_of(plan, "summary"));
  if (const auto predicted = plan.find("predicted"); predicted != plan.end())
    std::println("For one user: {} tokens/s, and {:.2f} s until the first one after a prompt of {} tokens",
                 speed_of(*predicted), real_of(*predicted, "prompt_seconds"), number_of(*predicted, "prompt_tokens"));
  std::println("");
  std::vector<std::vector<std::string>> rows{{"MACHINE", "LAYERS", "WEIGHTS", "KV", "COMPUTE", "OFFERS", "TOKEN", ""}};
  for (const json& stage : plan.value("stages", json::array())) {
    const double seconds = real_of(stage, "token_seconds");
    for (const json& member : stage.value("members", json::array({stage}))) {
      const bool is_first = text_of(member, "node") == text_of(stage, "node");
      rows.push_back({text_of(member, "node"), layers_text(stage), bytes_of_field(member, "weight_bytes"),
                      bytes_of_field(member, "kv_bytes"), bytes_of_field(member, "compute_bytes"),
                      bytes_of_field(member, "offered_bytes"),
                      seconds > 0 ? std::format("{:.{}f} ms", seconds * 1e3, seconds < 9.95e-3 ? 2 : 1) : "-",
                      stage.value("is_head", false) && is_first ? "head" : ""});
    }
  }
  std::print("{}", draw_columns(rows));
  for (const json& stage : plan.value("stages", json::array()))  // of a group it names its machines
    std::println("  {}{}", stage.value("members", json::array()).size() > 1 ? "" : text_of(stage, "node") + ": ",
                 text_of(stage, "reason"));
  for (const json& left : plan.value("left_out", json::array()))
    std::println("  {} left out: {}", text_of(left, "node"), text_of(left, "reason"));
  for (const json& note : plan.value("notes", json::array()))
    if (note.is_string()) std::println("  note: {}", note.get<std::string>());
}

}  // namespace

std::string speed_text(const json& placement) {
  const json measured = placement.value("stats", json::object()).value("measured", json::object());
  if (const auto foretold = placement.find("predicted"); foretold != placement.end()) {
    const std::string predicted = std::format("predicted {} tok/s", speed_of(*foretold));
    return measured.empty() ? predicted : std::format("{}, measured {}", predicted, speed_of(measured));
  }
  return measured.empty() ? "-" : std::format("measured {} tok/s", speed_of(measured));
}

int report(const Error& error) {
  // "[room] …" says to developers where it arose; people get the sentence.
  const std::string_view message = without_room(error.message);
  std::println(stderr, "flotilla: {}", message);
  return error.code == Code::unavailable &&
                 (message.contains("no node answers") || message.contains("is not a Flotilla node"))
             ? exit_unreachable
             : exit_failed;
}

int list_models(const VerbOptions& options) {
  return fetch_and_print(options, "/v1/models", [&](const json& body) {
    std::vector<std::vector<std::string>> rows{{"MODEL", "SIZE", "STATE"}};
    for (const json& model : body.value("data", json::array()))
      rows.push_back({text_of(model, "id"), bytes_of_field(model, "file_bytes"), text_of(model, "state")});
    if (rows.size() == 1) {  // a heading alone says nothing
      std::println(
          "No models yet. Next: flotilla pull (it lists some), or flotilla serve --models DIR for GGUF files of yours");
      return;
    }
    std::print("{}", draw_columns(rows));
    next_step(options, std::format("Next: flotilla run {} \"why is the sky blue?\"", rows[1][0]));
  });
}

int list_placements(const VerbOptions& options) {
  return fetch_and_print(options, "/placements", [&](const json& body) {
    std::vector<std::vector<std::string>> rows{{"MODEL", "STATE", "CONTEXT", "SLOTS", "HELD", "SPEED", "LAYERS ON"}};
    std::string sentences;  // why a model moves, has moved or was loaded again: too long for a column
    for (const json& placement : body.value("placements", json::array())) {
      std::uint64_t held = 0;
      for (const json& stage : placement.value("stages", json::array()))
        held += number_of(stage, "weight_bytes") + number_of(stage, "kv_bytes");
      std::string detail = text_of(placement, "detail");
      if (detail.size() > detail_in_column_max)
        sentences += std::format("  {} {}\n", text_of(placement, "model"), std::exchange(detail, ""));
      rows.push_back(
          {text_of(placement, "model"), text_of(placement, "state") + (detail.empty() ? "" : " (" + detail + ")"),
           std::to_string(number_of(placement, "context_tokens")), std::to_string(number_of(placement, "sequences")),
           format_bytes(held), speed_text(placement), stages_text(placement)});
    }
    for (const json& waiting : body.value("waiting", json::array()))
      sentences +=
          std::format("  {} is to be loaded again; answers at {} that wait for it: {}; {}\n", text_of(waiting, "model"),
                      text_of(waiting, "node"), number_of(waiting, "requests"), text_of(waiting, "detail"));
    if (rows.size() == 1) {
      std::print("{}", sentences);
      std::println("Nothing is loaded. Next: flotilla load MODEL; flotilla list shows what there is");
      return;
    }
    std::print("{}{}", draw_columns(rows), sentences);
    next_step(options, std::format("Next: flotilla unload {} frees its memory", rows[1][0]));
  });
}

int list_nodes(const VerbOptions& options) {
  return fetch_and_print(options, "/cluster", [&](const json& body) {
    std::vector<std::vector<std::string>> rows{
        {"MACHINE", "STATE", "OFFERS", "FREE", "READS", "DEVICE", "VERSION", ""}};
    for (const json& node : body.value("nodes", json::array())) {
      const json devices = node.value("devices", json::array());
      rows.push_back({text_of(node, "name"), text_of(node, "state"), bytes_of_field(node, "memory_bytes"),
                      bytes_of_field(node, "memory_free_bytes"), rate_text(node),
                      devices.empty() ? "" : text_of(devices[0], "kind") + " " + text_of(devices[0], "description"),
                      text_of(node, "version"), remark_on(node)});
    }
    std::print("{}", draw_columns(rows));
    next_step(options, "Next: flotilla plan MODEL says which of them would hold what");
  });
}

int show_model(const VerbOptions& options, const std::string& model) {
  ApiClient client(options.api_url, client_key(options));
  const auto name = resolve_model_name(client, model);
  if (!name) return report(name.error());
  return fetch_and_print(options, "/models/" + ApiClient::escaped(*name), [&](const json& body) {
    std::print("{}", draw_columns({{"name", text_of(body, "name")},
                                   {"architecture", text_of(body, "architecture")},
                                   {"size", bytes_of_field(body, "file_bytes")},
                                   {"weights", bytes_of_field(body, "weight_bytes")},
                                   {"layers", std::to_string(number_of(body, "layers"))},
                                   {"width", std::to_string(number_of(body, "embedding_length"))},
                                   {"vocabulary", std::to_string(number_of(body, "vocabulary"))},
                                   {"trained context", std::to_string(number_of(body, "context_length")) + " tokens"},
                                   {"fingerprint", text_of(body, "fingerprint")}}));
    next_step(options, std::format("Next: flotilla plan {}", *name));
  });
}

int show_plan(const VerbOptions& options, const LoadWishes& given) {
  ApiClient client(options.api_url, client_key(options));
  LoadWishes wishes = given;
  const auto name = resolve_model_name(client, given.model);
  if (!name) return report(name.error());
  wishes.model = *name;
  return fetch_and_print(options, "/plan?" + wishes_query(wishes), [&](const json& body) {
    draw_plan(body);
    next_step(options, std::format("Next: flotilla load {}", wishes.model));
  });
}

int load_model(const VerbOptions& options, const LoadWishes& given) {
  ApiClient client(options.api_url, client_key(options));
  LoadWishes wishes = given;
  const auto name = resolve_name_to_load(client, given.model);
  if (!name) return report(name.error());
  wishes.model = *name;
  const auto placement = load_showing_progress(client, wishes_json(wishes));
  if (!placement && interrupted()) {
    std::println(stderr, "{} goes on loading; flotilla ps shows how far it is, flotilla unload {} ends it",
                 wishes.model, wishes.model);
    return exit_interrupted;
  }
  if (!placement) return report(placement.error());
  if (options.json)
    std::println("{}", placement->dump(2));
  else
    std::println("{} is ready: {}", placement->value("model", wishes.model), stages_text(*placement));
  next_step(options, std::format("Next: flotilla run {}", placement->value("model", wishes.model)));
  return exit_ok;
}

int unload_model(const VerbOptions& options, const std::string& model) {
  ApiClient client(options.api_url, client_key(options));
  const auto name = resolve_model_name(client, model);
  if (!name) return report(name.error());
  const auto body = client.post("/unload", {{"model", *name}});
  if (!body) return report(body.error());
  if (options.json)
    std::println("{}", body->dump(2));
  else
    std::println("{} is unloaded", *name);
  return exit_ok;
}

}  // namespace flotilla
