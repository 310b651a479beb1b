#include "app/rates_cache.h"

#include <fstream>

#include "app/rates_json.h"
#include "base/replace_file.h"

namespace flotilla {
namespace {

using nlohmann::json;

json circumstances_json(const Circumstances& c) {
  return {{"processor", c.processor},
          {"threads", c.threads},
          {"share", c.share},
          {"kernels", c.kernels},
          {"release", c.release}};
}

}  // namespace

std::optional<MachineRates> read_rates(const std::filesystem::path& path, const Circumstances& now) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  const json body = json::parse(file, nullptr, false);
  if (!body.is_object() || !body.contains("circumstances") || !body.contains("rates")) return std::nullopt;
  if (body["circumstances"] != circumstances_json(now)) return std::nullopt;
  auto rates = rates_from_json(body["rates"]);
  if (!rates) return std::nullopt;
  return *std::move(rates);
}

Status write_rates(const std::filesystem::path& path, const Circumstances& now, const MachineRates& rates) {
  const json body{{"circumstances", circumstances_json(now)}, {"rates", rates_json(rates)}};
  return replace_file(path, body.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace flotilla
