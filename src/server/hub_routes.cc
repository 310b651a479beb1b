#include "server/hub_routes.h"

#include <format>
#include <memory>
#include <string>
#include <utility>

#include "server/json_answer.h"
#include "server/json_body.h"
#include "server/ollama_dialect.h"
#include "server/ollama_request.h"
#include "server/openai_errors.h"
#include "server/progress_lines.h"
#include "server/router.h"
#include "server/small_body.h"

namespace flotilla {
namespace {

using Exchange = std::shared_ptr<HttpExchange>;

// What may not go because it is in use: 409, for it is no matter of trying again.
ApiError conflict(Error error) {
  const bool in_use = error.code == Code::busy;
  auto told = ApiError::from(std::move(error));
  if (in_use) {
    told.status = 409;
    told.name = "conflict";
  }
  return told;
}

struct HubOrder {
  std::string model, revision = "main";
  bool streams = true;
};

ApiResult<HubOrder> read_order(const HttpRequest& request, std::size_t depth_max) {
  const auto body = small_body(request, depth_max);
  if (!body) return std::unexpected(body.error());
  JsonFields fields(*body);
  HubOrder order;
  auto model = fields.text("model");
  if (!model) model = fields.text("name");  // as Ollama called it before
  if (!model || model->empty())
    fields.wrong("model", Code::invalid_argument,
                 "expected a model's name in \"model\"; GET /hub/models?query=TEXT finds some");
  order.model = model.value_or("");
  order.revision = fields.text("revision").value_or("main");
  order.streams = fields.boolean("stream").value_or(true);
  if (fields.fault()) return fault_of(fields);
  return order;
}

void search(const Exchange& exchange, Backend& backend) {
  std::string text;
  for (const auto& [name, value] : exchange->request().query)
    if (name == "query") text = value;
  backend.search_hub(text, [exchange](const nlohmann::json& found) { answer_json(*exchange, found); });
}

void pull(const Exchange& exchange, Backend& backend, std::size_t depth_max) {
  const auto order = read_order(exchange->request(), depth_max);
  if (!order) return exchange->answer(error_answer(order.error()));
  const auto lines = lines_to(exchange, "pulled");
  lines->on_left(backend.pull(
      order->model, order->revision, [lines](const nlohmann::json& line) { lines->say(line); },
      [lines](Result<nlohmann::json> pulled) { lines->done(std::move(pulled)); }));
}

void remove(const Exchange& exchange, Backend& backend, std::size_t depth_max) {
  const auto order = read_order(exchange->request(), depth_max);
  if (!order) return exchange->answer(error_answer(order.error()));
  backend.remove(order->model, [exchange](Result<nlohmann::json> removed) {
    if (!removed) return exchange->answer(error_answer(conflict(std::move(removed).error())));
    answer_json(*exchange, *removed);
  });
}

// --- As Ollama's clients ask --------------------------------------------------------------------------------------

nlohmann::json ollama_status(const nlohmann::json& progress) {
  const std::string digest = progress.value("digest", "");
  return {{"status", "pulling " + digest.substr(0, 12)},
          {"digest", "sha256:" + digest},
          {"total", progress.value("total_bytes", std::uint64_t{0})},
          {"completed", progress.value("done_bytes", std::uint64_t{0})}};
}

void ollama_pull(const Exchange& exchange, Backend& backend, std::size_t depth_max) {
  const auto order = read_order(exchange->request(), depth_max);
  if (!order) return exchange->answer(ollama_error_answer(order.error()));
  const auto lines = lines_to(exchange, "status", {.refusal = ollama_error_answer, .streams = order->streams});
  // A name that is none is an answer of its own; what comes after is told in lines.
  lines->on_left(backend.pull(
      without_latest(order->model), order->revision,
      [lines](const nlohmann::json& line) {
        if (line.contains("progress")) lines->say(ollama_status(line["progress"]));
      },
      [lines](Result<nlohmann::json> pulled) {
        if (!pulled) return lines->done(std::move(pulled));
        for (const char* status : {"verifying sha256 digest", "writing manifest"}) lines->say({{"status", status}});
        lines->done("success");
      }));
  lines->say({{"status", "pulling manifest"}});
}

void ollama_delete(const Exchange& exchange, Backend& backend, std::size_t depth_max) {
  const auto order = read_order(exchange->request(), depth_max);
  if (!order) return exchange->answer(ollama_error_answer(order.error()));
  backend.remove(without_latest(order->model), [exchange](Result<nlohmann::json> removed) {
    if (!removed) return exchange->answer(ollama_error_answer(conflict(std::move(removed).error())));
    exchange->answer({.body = "", .headers = {}});
  });
}

}  // namespace

void add_hub_routes(Router& router, Backend& backend, const ServerLimits& limits) {
  const auto depth_max = limits.json_depth_max;
  constexpr auto admin = Access::of(Scope::admin);
  router.add("GET", "/hub/models", admin, [&backend](const Exchange& exchange) { search(exchange, backend); });
  router.add("GET", "/pulls", admin, [&backend](const Exchange& exchange) { answer_json(*exchange, backend.pulls()); });
  router.add("POST", "/pull", admin,
             [&backend, depth_max](const Exchange& exchange) { pull(exchange, backend, depth_max); });
  router.add("POST", "/delete", admin,
             [&backend, depth_max](const Exchange& exchange) { remove(exchange, backend, depth_max); });
  router.add(
      "POST", "/api/pull", admin,
      [&backend, depth_max](const Exchange& exchange) { ollama_pull(exchange, backend, depth_max); },
      ollama_error_answer);
  router.add(
      "DELETE", "/api/delete", admin,
      [&backend, depth_max](const Exchange& exchange) { ollama_delete(exchange, backend, depth_max); },
      ollama_error_answer);
}

}  // namespace flotilla
