#include "app/rates_cache.h"

#include <fstream>

#include "app/rates_json.h"
#include "base/replace_file.h"

namespace flotilla {
namespace {

using nlohmann::json;

json circumstances_json(const Circumstances& c) {
  return {{"processor", c.processor}, {"threads", c.threads}, {"kernels", c.kernels}, {"release", c.release}};
}

constexpr std::size_t entries_max = 4;  // who tries other threads or another release and returns finds them again

// What the file holds, latest first; empty where there is none or it is damaged.
json read_entries(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return json::array();
  json body = json::parse(file, nullptr, false);
  if (!body.is_object() || !body.contains("measured") || !body["measured"].is_array()) return json::array();
  return std::move(body["measured"]);
}

bool is_of(const json& entry, const json& circumstances) {
  return entry.is_object() && entry.contains("rates") && entry.value("circumstances", json()) == circumstances;
}

}  // namespace

std::optional<MachineRates> read_rates(const std::filesystem::path& path, const Circumstances& now) {
  const json wanted = circumstances_json(now);
  for (const json& entry : read_entries(path))
    if (is_of(entry, wanted))
      if (auto rates = rates_from_json(entry["rates"])) return *std::move(rates);
  return std::nullopt;
}

Status write_rates(const std::filesystem::path& path, const Circumstances& now, const MachineRates& rates) {
  const json own = circumstances_json(now);
  json entries = json::array({{{"circumstances", own}, {"rates", rates_json(rates)}}});
  for (const json& entry : read_entries(path))
    if (entries.size() < entries_max && !is_of(entry, own)) entries.push_back(entry);
  return replace_file(path, json{{"measured", entries}}.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace flotilla
