// What was found of a machine and its fleet, check by check, and what to do: the answer of GET /cluster/doctor and the
// one screen of `flotilla doctor`. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace flotilla {

enum class Health : std::uint8_t {
  ok,
  warn,  // it works, or may be meant so
  bad,   // something must be done
};
std::string_view to_string(Health health);

struct Finding {
  std::string check;  // "ports", "clock": one word; several findings may have the same
  Health health = Health::ok;
  std::string found;
  std::string to_do;  // empty where there is nothing
};
using Findings = std::vector<Finding>;

struct Checkup {
  std::string name, release;  // of the machine
  std::uint16_t protocol = 0;
  bool is_running = false;  // a node was asked; else the machine alone was looked at
  Findings findings;
};

Health worst(const Findings& findings);
nlohmann::json checkup_json(const Checkup& checkup);
Checkup checkup_from_json(const nlohmann::json& json);  // what is missing is empty
std::string draw(const Checkup& checkup);               // ends with a line feed

}  // namespace flotilla
