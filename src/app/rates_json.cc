#include "app/rates_json.h"

#include "app/fleet.h"

namespace flotilla {

using nlohmann::json;

json rates_json(const MachineRates& rates) {
  json kernels = json::array();
  for (const KernelRate& kernel : rates.kernels)
    kernels.push_back({{"type", kernel.type}, {"seconds_per_gib", kernel.seconds_per_gib}});
  return {{"shards", rates.shards},
          {"threads_per_shard", rates.threads_per_shard},
          {"memory_bytes_per_second", rates.memory_bytes_per_second},
          {"layer_seconds", rates.layer_seconds},
          {"attention_bytes_per_second", rates.attention_bytes_per_second},
          {"attention_prompt_bytes_per_second", rates.attention_prompt_bytes_per_second},
          {"kernel_rows", kernel_rows},
          {"kernels", kernels}};
}

namespace {

// What others would refuse to hear must not be believed here either: the same limits, where they are.
bool can_be_told(const MachineRates& rates) {
  NodeInfo info{.id = {}, .name = "rates", .version = "0", .rates = rates};
  info.devices.emplace_back();
  const auto told = decode_node_info(encode(info));
  return told && told->rates == rates;
}

}  // namespace

Result<MachineRates> rates_from_json(const json& body) {
  const auto corrupt = [] {
    return fail(Code::corrupt, "[app] expected what a machine measured of itself but got something else");
  };
  try {
    MachineRates rates;
    rates.shards = body.at("shards").get<std::uint32_t>();
    rates.threads_per_shard = body.at("threads_per_shard").get<std::uint32_t>();
    rates.memory_bytes_per_second = body.at("memory_bytes_per_second").get<double>();
    rates.layer_seconds = body.at("layer_seconds").get<double>();
    rates.attention_bytes_per_second = body.at("attention_bytes_per_second").get<double>();
    rates.attention_prompt_bytes_per_second = body.at("attention_prompt_bytes_per_second").get<double>();
    for (const json& kernel : body.at("kernels"))
      rates.kernels.push_back(
          {kernel.at("type").get<std::string>(), kernel.at("seconds_per_gib").get<std::vector<double>>()});
    if (rates.memory_bytes_per_second > 0 && !rates.kernels.empty() && body.at("kernel_rows") == json(kernel_rows) &&
        can_be_told(rates))
      return rates;
    return corrupt();
  } catch (const json::exception&) {
    return corrupt();
  }
}

json links_json(const std::vector<LinkRate>& links, const ClusterView& view) {
  json list = json::array();
  for (const LinkRate& link : links)
    list.push_back({{"node", name_of(view, link.peer)},
                    {"latency_seconds", link.latency_seconds},
                    {"bytes_per_second", link.bytes_per_second},
                    {"interface", link.interface}});
  return list;
}

}  // namespace flotilla
