#include "app/what_if_verb.h"

#include <format>
#include <nlohmann/json.hpp>
#include <print>

#include "app/fleet.h"
#include "app/node_json.h"
#include "app/terminal.h"
#include "base/units.h"

namespace flotilla {
namespace {

using nlohmann::json;

std::string amount(double value, const std::string& unit) {
  return value > 0 ? std::format("{:.0f}{}", value, unit) : "-";
}

std::string seconds_text(double seconds) { return std::format("{:.{}f} s", seconds, seconds < 9.95 ? 1 : 0); }

std::vector<std::string> machine_row(const ImaginedMachine& machine, const std::string& currency, bool is_instead) {
  return {(is_instead ? "instead: " : "") + machine.name,
          std::to_string(machine.count),
          format_bytes(machine.memory_bytes),
          std::format("{:.0f} GB/s", machine.bytes_per_second / 1e9),
          machine.flops > 0 ? std::format("{:.3g} TFLOP/s", machine.flops / 1e12) : "-",
          amount(machine.price * machine.count, " " + currency),
          amount(machine.watts * machine.count, " W")};
}

json line_json(const WhatIfLine& line) {
  json out{{"what", line.what}, {"who", line.who}, {"possible", line.is_possible}};
  if (!line.is_possible) return out;
  out.update({{"machines", line.machines},
              {"tokens_per_second", 1 / line.token_seconds},
              {"token_seconds", line.token_seconds},
              {"prompt_seconds", line.prompt_seconds}});
  if (line.price > 0) out["price"] = line.price;
  if (line.watts > 0) out["watts"] = line.watts;
  return out;
}

}  // namespace

json what_if_json(const FleetFile& file, const ModelShape& shape, const WhatIf& answer) {
  json lines = json::array(), machines = json::array();
  for (const WhatIfLine& line : answer.lines) lines.push_back(line_json(line));
  double price = 0, watts = 0;
  for (const ImaginedMachine& machine : file.fleet.machines) {
    price += machine.price * machine.count;
    watts += machine.watts * machine.count;
    machines.push_back({{"name", machine.name},
                        {"count", machine.count},
                        {"memory_bytes", machine.memory_bytes},
                        {"price", machine.price},
                        {"watts", machine.watts}});
  }
  json body{{"fleet", file.fleet.title},
            {"sources", file.fleet.sources},
            {"currency", file.fleet.currency},
            {"machines", machines},
            {"price", price},
            {"watts", watts},
            {"model", shape.name},
            {"weight_bytes", shape.weight_bytes()},
            {"lines", lines}};
  if (answer.plan) body["plan"] = plan_json(*answer.plan, {.model = shape.name});
  return body;
}

std::string what_if_text(const FleetFile& file, const ModelShape& shape, const WhatIf& answer) {
  const ImaginedFleet& fleet = file.fleet;
  std::string text = fleet.title + "\n\n";
  std::vector<std::vector<std::string>> rows{
      {"MACHINE", "COUNT", "EACH OFFERS", "BANDWIDTH", "COMPUTE", "PRICE", "WATTS"}};
  double price = 0, watts = 0;
  std::uint32_t count = 0;
  for (const ImaginedMachine& machine : fleet.machines) {
    rows.push_back(machine_row(machine, fleet.currency, false));
    price += machine.price * machine.count;
    watts += machine.watts * machine.count;
    count += machine.count;
  }
  rows.push_back(
      {"in total", std::to_string(count), "", "", "", amount(price, " " + fleet.currency), amount(watts, " W")});
  for (const ImaginedMachine& machine : fleet.instead) rows.push_back(machine_row(machine, fleet.currency, true));
  text += draw_columns(rows);
  if (count > 1)
    text += std::format("joined by {}: {:.3g} ms one way, {:.3g} Gbit/s\n", fleet.link.name,
                        fleet.link.cost.latency_seconds * 1e3, fleet.link.cost.bytes_per_second * 8e-9);
  text += std::format("\n{}: {} of weights, {} layers\n\n", shape.name, format_bytes(shape.weight_bytes()),
                      shape.layers.size());
  rows = {{"", "TOKENS/S", "FIRST TOKEN", "MACHINES", "PRICE", "WATTS", ""}};
  for (const WhatIfLine& line : answer.lines) {
    if (line.is_possible)
      rows.push_back({line.what, std::format("{:.1f}", 1 / line.token_seconds), seconds_text(line.prompt_seconds),
                      std::to_string(line.machines), amount(line.price, " " + fleet.currency), amount(line.watts, " W"),
                      line.who});
    else
      rows.push_back({line.what, "-", "-", "", "", "", "does not hold it"});
  }
  text += draw_columns(rows);
  if (!answer.plan)
    for (const WhatIfLine& line : answer.lines)
      if (line.what == "our plan") text += "\n" + line.who + "\n";
  if (answer.plan) {
    text += "\n";
    for (const PlannedStage& stage : answer.plan->stages) {
      std::string names;
      for (const PlannedMember& member : stage.members) names += (names.empty() ? "" : " + ") + member.node_name;
      text += std::format("  {}: {}; {:.1f} ms of each token\n", names, stage.reason, stage.token_seconds * 1e3);
    }
    for (const LeftOut& left : answer.plan->left_out)
      text += std::format("  {} left out: {}\n", left.node_name, left.reason);
    text += std::format("\nFor one user and a prompt of {} tokens.\n", answer.prompt_tokens);
  }
  text +=
      "\nFrom data sheets, and from what published programs get out of them: a fifth more or less is as good as this "
      "can\n"
      "be (docs/planner.md). What machines here do is measured: flotilla plan MODEL\n";
  for (const std::string& source : fleet.sources) text += "  source: " + source + "\n";
  return text;
}

int show_what_if(const VerbOptions& options, const LoadWishes& given, const std::string& fleet) {
  const auto shipped = shipped_fleets();
  const auto path = find_fleet(fleet, shipped);
  if (!path) return report(path.error());
  const auto file = read_fleet_file(*path);
  if (!file) return report(file.error());
  if (file->fleet.machines.empty())
    return report({Code::invalid_argument,
                   std::format("[app] expected a [[machine]] in {} but found none", path->filename().string())});
  const auto shape = shape_for_what_if(given.model, *file, shipped);
  if (!shape) return report(shape.error());
  LoadModel order{.model = given.model, .nodes = given.nodes, .layers = given.layers, .mode = given.mode};
  order.context_tokens = given.context_tokens;
  order.sequences = given.sequences;
  const auto answer = what_if(file->fleet, *shape, wishes_from(order, ActivationType::f32));
  if (!answer) return report(answer.error());
  if (options.json)
    std::println("{}", what_if_json(*file, *shape, *answer).dump(2));
  else
    std::print("{}", what_if_text(*file, *shape, *answer));
  return 0;
}

}  // namespace flotilla
