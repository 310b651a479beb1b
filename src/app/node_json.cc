#include "app/node_json.h"

#include <charconv>

#include "app/fleet.h"
#include "app/rates_json.h"
#include "model/excerpt.h"
#include "model/spec.h"
#include "text/answer_format.h"

namespace flotilla {
namespace {

using nlohmann::json;

// What one machine has counted of a stage.
json counters_json(const StageStats& stats) {
  return {{"steps", stats.steps},
          {"rows", stats.rows},
          {"compute_seconds", stats.compute_seconds},
          {"wait_seconds", stats.wait_seconds},
          {"exchange_seconds", stats.exchange_seconds},
          {"sent_messages", stats.sent_messages},
          {"sent_bytes", stats.sent_bytes}};
}

json node_json(const Member& member, const ClusterView& view) {
  const NodeInfo& info = member.info;
  json devices = json::array();
  for (const DeviceInfo& device : info.devices)
    devices.push_back({{"kind", device.kind},
                       {"description", device.description},
                       {"threads", device.threads},
                       {"memory_bytes", device.memory_bytes}});
  json node{{"id", to_string(info.id)},          {"name", info.name},
            {"state", to_string(member.state)},  {"version", info.version},
            {"memory_bytes", info.memory_bytes}, {"memory_free_bytes", info.memory_free_bytes},
            {"on_battery", info.on_battery},     {"devices", devices}};
  if (info.battery_percent > 0) node["battery_percent"] = info.battery_percent;
  if (!info.rates.kernels.empty()) node["rates"] = rates_json(info.rates);
  if (!member.reason.empty()) node["reason"] = member.reason;
  if (!member.host.empty()) node["host"] = member.host;
  if (!info.links.empty()) node["links"] = links_json(info.links, view);
  json models = json::array();
  for (const ModelInfo& model : info.models)
    models.push_back({{"name", model.name}, {"file_bytes", model.file_bytes}, {"complete", model.complete}});
  node["models"] = models;
  json copying = json::array();
  for (const StandbyCopy& copy : info.standbys)
    copying.push_back({{"model", copy.model}, {"done_bytes", copy.done_bytes}, {"total_bytes", copy.total_bytes}});
  node["standby"] = {{"free_bytes", info.standby_bytes}, {"copying", copying}};
  return node;
}

json stage_json(const PlannedStage& stage) {
  json members = json::array();
  for (const PlannedMember& member : stage.members)
    members.push_back({{"node", member.node_name},
                       {"share", member.share},
                       {"weight_bytes", member.need.weights},
                       {"kv_bytes", member.need.kv},
                       {"compute_bytes", member.need.compute},
                       {"offered_bytes", member.offered_bytes}});
  const StageNeed need = stage.need();
  json out{{"node", stage.node_name},
           {"layers", {stage.layers.first, stage.layers.end}},
           {"is_head", stage.is_head},
           {"mode", stage.is_group() ? "tensor" : "pipeline"},
           {"members", members},
           {"weight_bytes", need.weights},
           {"kv_bytes", need.kv},
           {"compute_bytes", need.compute},
           {"offered_bytes", stage.offered_bytes()},
           {"reason", stage.reason}};
  if (stage.token_seconds > 0) out["token_seconds"] = stage.token_seconds;
  return out;
}

json rate_json(double token_seconds) {
  return {{"token_seconds", token_seconds}, {"tokens_per_second", 1 / token_seconds}};
}

// For one user: between tokens, and until the first one.
json predicted_json(double token_seconds, double prompt_seconds, std::uint32_t prompt_tokens) {
  json out = rate_json(token_seconds);
  out["prompt_seconds"] = prompt_seconds;
  out["prompt_tokens"] = prompt_tokens;
  return out;
}

// A client's value as a message shows it: short, and whatever its bytes are.
std::string quoted(const json& value) { return excerpt(value.dump(-1, ' ', false, json::error_handler_t::replace)); }

Result<std::uint32_t> count_from(std::string_view text, std::string_view field) {
  std::uint32_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || rest != text.data() + text.size())
    return fail(Code::invalid_argument, "[app] expected a whole number for '{}' but got '{}'", field, text);
  return number;
}

Result<std::uint32_t> count_of(const json& value, std::string_view field) {
  if (value.is_number_integer() && value >= 0 && value <= 0xFFFFFFFFu) return value.get<std::uint32_t>();
  if (value.is_string()) return count_from(value.get_ref<const std::string&>(), field);
  return fail(Code::invalid_argument, "[app] expected a whole number for '{}' but got {}", field, quoted(value));
}

// An array, or text with commas as a query or a flag has it.
Result<std::vector<json>> items_of(const json& value, std::string_view field) {
  std::vector<json> items;
  if (value.is_array()) {
    items.assign(value.begin(), value.end());
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      items.emplace_back(text.substr(at, comma - at));
      at = comma + 1;
    }
  } else {
    return fail(Code::invalid_argument, "[app] expected a list for '{}' but got {}", field, quoted(value));
  }
  return items;
}

// What its chat template lets clients ask for, beside answers.
json capabilities_of(const Gguf& gguf) {
  const auto source = gguf.text("tokenizer.chat_template");
  const AnswerFormat format = source ? answer_format_of(*source) : AnswerFormat{};
  json capabilities = json::array();
  if (format.calls != CallFormat::none) capabilities.push_back("tools");
  if (format.thinks) capabilities.push_back("thinking");
  if (is_embedder(gguf)) capabilities.push_back("embedding");
  return capabilities;
}

}  // namespace

json placement_json(const Placement& placement, const ClusterView& view) {
  json stages = json::array();
  for (const PlacedStage& stage : placement.stages) {
    json names = json::array();
    for (const NodeId& node : stage.nodes) names.push_back(name_of(view, node));
    stages.push_back({{"nodes", names},
                      {"layers", {stage.layers.first, stage.layers.end}},
                      {"mode", stage.nodes.size() > 1 ? "tensor" : "pipeline"},
                      {"weight_bytes", stage.weight_bytes},
                      {"kv_bytes", stage.kv_bytes},
                      {"compute_bytes", stage.compute_bytes}});
  }
  json body{{"model", placement.model},
            {"state", to_string(placement.state)},
            {"epoch", placement.epoch.counter},
            {"incarnation", placement.epoch.incarnation},
            {"context_tokens", placement.context_tokens},
            {"sequences", placement.sequences},
            {"stages", stages}};
  if (placement.embeds) body["embeds"] = true;
  json on_disk = json::array();
  for (const std::string& name : whole_file_names(view, placement.fingerprint)) on_disk.push_back(name);
  body["on_disk_of"] = on_disk;
  if (!placement.detail.empty()) body["detail"] = placement.detail;
  if (placement.predicted_token_seconds > 0)
    body["predicted"] = predicted_json(placement.predicted_token_seconds, placement.predicted_prompt_seconds,
                                       placement.predicted_prompt_tokens);
  return body;
}

json stats_json(const StatsPerStage& stages) {
  json per_stage = json::array();
  std::uint64_t messages = 0, bytes = 0;
  for (const auto& members : stages) {
    json entry = counters_json(members.front());
    if (members.size() > 1)
      for (const StageStats& member : members) entry["members"].push_back(counters_json(member));
    per_stage.push_back(std::move(entry));
    for (const StageStats& member : members) messages += member.sent_messages;
    for (const StageStats& member : members) bytes += member.sent_bytes;
  }
  const StageStats& head = stages.front().front();
  json body{{"tokens", head.tokens},     {"running", head.running}, {"queued", head.queued},
            {"sent_messages", messages}, {"sent_bytes", bytes},     {"stages", per_stage}};
  if (head.tokens > 0) {
    body["messages_per_token"] = static_cast<double>(messages) / static_cast<double>(head.tokens);
    body["bytes_per_token"] = static_cast<double>(bytes) / static_cast<double>(head.tokens);
  }
  if (head.single_steps > 0 && head.single_round_seconds > 0)
    body["measured"] = rate_json(head.single_round_seconds / static_cast<double>(head.single_steps));
  return body;
}

json wishes_json(const LoadModel& order) {
  json body = json::object();
  if (!order.nodes.empty()) body["nodes"] = order.nodes;
  if (!order.layers.empty()) body["layers"] = order.layers;
  if (!order.mode.empty() && order.mode != "auto") body["mode"] = order.mode;
  if (order.context_tokens != 0) body["context"] = order.context_tokens;
  if (order.sequences != 0) body["sequences"] = order.sequences;
  return body;
}

json cluster_json(const ClusterView& view) {
  json nodes = json::array(), placements = json::array();
  for (const Member& member : view.members) {
    nodes.push_back(node_json(member, view));
    for (const Placement& placement : member.info.placements) placements.push_back(placement_json(placement, view));
  }
  return {{"nodes", nodes}, {"placements", placements}, {"waiting", waiting_json(view)}};
}

json waiting_json(const ClusterView& view) {
  json list = json::array();
  for (const Member& member : view.members)
    for (const WaitingRequests& waiting : member.info.waiting)
      list.push_back({{"model", waiting.model},
                      {"node", member.info.name},
                      {"requests", waiting.requests},
                      {"detail", waiting.detail}});
  return list;
}

json plan_json(const Plan& plan, const LoadModel& order) {
  json stages = json::array(), left_out = json::array();
  for (const PlannedStage& stage : plan.stages) stages.push_back(stage_json(stage));
  json copies = json::array();
  for (const PlannedStage& stage : plan.copies) copies.push_back(stage_json(stage));
  for (const LeftOut& left : plan.left_out) left_out.push_back({{"node", left.node_name}, {"reason", left.reason}});
  json body{{"model", order.model},        {"summary", plan.summary}, {"context_tokens", plan.context_tokens},
            {"sequences", plan.sequences}, {"stages", stages},        {"left_out", left_out},
            {"notes", plan.notes}};
  if (plan.embeds) body["copies"] = copies;
  if (plan.token_seconds > 0)
    body["predicted"] = predicted_json(plan.token_seconds, plan.prompt_seconds, plan.prompt_tokens);
  return body;
}

Result<json> model_json(const StoredModel& model) {
  FLOTILLA_TRY(const ModelShape shape, read_shape(*model.gguf));
  return json{{"name", model.info.name},
              {"architecture", shape.architecture},
              {"fingerprint", model.info.fingerprint},
              {"file_bytes", model.info.file_bytes},
              {"complete", model.info.complete},
              {"weight_bytes", shape.weight_bytes()},
              {"layers", shape.layers.size()},
              {"embedding_length", shape.embedding_length},
              {"vocabulary", shape.vocabulary},
              {"context_length", shape.context_length},
              {"capabilities", capabilities_of(*model.gguf)}};
}

Result<LoadModel> load_model_from_json(const json& arguments) {
  LoadModel order;
  if (!arguments.is_object() || !arguments.contains("model") || !arguments["model"].is_string())
    return fail(Code::invalid_argument,
                "[app] expected a field 'model' with a model's name; GET /v1/models lists them");
  order.model = arguments["model"].get<std::string>();
  if (arguments.contains("nodes")) {
    FLOTILLA_TRY(const auto names, items_of(arguments["nodes"], "nodes"));
    for (const json& name : names) {
      if (!name.is_string())
        return fail(Code::invalid_argument, "[app] expected names of machines in 'nodes' but got {}", quoted(name));
      order.nodes.push_back(name.get<std::string>());
    }
  }
  if (arguments.contains("layers")) {
    FLOTILLA_TRY(const auto counts, items_of(arguments["layers"], "layers"));
    for (const json& count : counts) {
      FLOTILLA_TRY(const auto number, count_of(count, "layers"));
      order.layers.push_back(number);
    }
  }
  if (arguments.contains("mode")) {
    order.mode = arguments["mode"].is_string() ? arguments["mode"].get<std::string>() : "";
    if (order.mode != "auto" && order.mode != "pipeline" && order.mode != "tensor")
      return fail(Code::invalid_argument, "[app] expected mode auto, pipeline or tensor but got {}",
                  quoted(arguments["mode"]));
  }
  if (arguments.contains("context")) {
    FLOTILLA_TRY(order.context_tokens, count_of(arguments["context"], "context"));
  }
  if (arguments.contains("sequences")) {
    FLOTILLA_TRY(order.sequences, count_of(arguments["sequences"], "sequences"));
  }
  return order;
}

}  // namespace flotilla
