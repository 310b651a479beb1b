#include "app/checkup.h"

#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "app/json_fields.h"
#include "cluster/printable.h"

namespace flotilla {
namespace {

using nlohmann::json;

Health health_from(std::string_view text) {
  return text == "bad" ? Health::bad : text == "warn" ? Health::warn : Health::ok;
}

std::string last_line(const Findings& findings) {
  const auto count = [&](Health health) { return std::ranges::count(findings, health, &Finding::health); };
  const auto bad = count(Health::bad), warn = count(Health::warn);
  if (bad == 0 && warn == 0) return "All is well.";
  if (bad == 0)
    return std::format("It works; {} to look at.", warn == 1 ? "one thing" : std::format("{} things", warn));
  return std::format("{} must be done.", bad == 1 ? "One thing" : std::format("{} things", bad));
}

}  // namespace

std::string_view to_string(Health health) {
  return health == Health::bad ? "bad" : health == Health::warn ? "warn" : "ok";
}

Health worst(const Findings& findings) {
  Health health = Health::ok;
  for (const Finding& finding : findings) health = std::max(health, finding.health);
  return health;
}

json checkup_json(const Checkup& checkup) {
  json checks = json::array();
  for (const Finding& finding : checkup.findings) {
    checks.push_back({{"check", finding.check}, {"health", to_string(finding.health)}, {"found", finding.found}});
    if (!finding.to_do.empty()) checks.back()["to_do"] = finding.to_do;
  }
  return {{"name", checkup.name},
          {"version", checkup.release},
          {"protocol", checkup.protocol},
          {"running", checkup.is_running},
          {"health", to_string(worst(checkup.findings))},
          {"checks", checks}};
}

Checkup checkup_from_json(const json& body) {
  Checkup checkup{.name = text_of(body, "name"),
                  .release = text_of(body, "version"),
                  .protocol = static_cast<std::uint16_t>(number_of(body, "protocol")),
                  .is_running = body.is_object() && body.value("running", json()) == json(true),
                  .findings = {}};
  if (!body.is_object()) return checkup;
  for (const json& check : body.value("checks", json::array()))
    if (check.is_object())
      checkup.findings.push_back({.check = text_of(check, "check"),
                                  .health = health_from(text_of(check, "health")),
                                  .found = text_of(check, "found"),
                                  .to_do = text_of(check, "to_do")});
  return checkup;
}

std::string draw(const Checkup& checkup) {
  std::size_t widest = 0;
  for (const Finding& finding : checkup.findings) widest = std::max(widest, columns_of(printable(finding.check)));
  std::string text = std::format("{}: flotilla {}, protocol version {}{}\n\n", printable(checkup.name), checkup.release,
                                 checkup.protocol, checkup.is_running ? "" : "; no node was asked");
  for (const Finding& finding : checkup.findings) {
    const std::string check = printable(finding.check);
    text += std::format("{:<4}  {}{}  {}\n", to_string(finding.health), check,
                        std::string(widest - columns_of(check), ' '), printable(finding.found));
    if (finding.health != Health::ok && !finding.to_do.empty())
      text += std::format("      {}  → {}\n", std::string(widest, ' '), printable(finding.to_do));
  }
  return text + "\n" + last_line(checkup.findings) + "\n";
}

}  // namespace flotilla
