#include "server/management.h"

#include <functional>
#include <utility>

#include "server/json_answer.h"
#include "server/json_body.h"
#include "server/openai_errors.h"
#include "server/openai_models.h"
#include "server/progress_lines.h"
#include "server/router.h"
#include "server/small_body.h"

namespace flotilla {
namespace {

using Exchange = std::shared_ptr<HttpExchange>;

void answer_result(HttpExchange& exchange, Result<nlohmann::json> result) {
  if (!result) return exchange.answer(error_answer(ApiError::from(std::move(result).error())));
  answer_json(exchange, *result);
}

nlohmann::json query_arguments(const HttpRequest& request) {
  auto arguments = nlohmann::json::object();
  for (const auto& [name, value] : request.query) arguments[name] = value;
  return arguments;
}

ApiResult<nlohmann::json> body_arguments(const HttpRequest& request, std::size_t depth_max) {
  auto json = small_body(request, depth_max);
  if (!json) return json;
  JsonFields fields(*json);
  const auto model = fields.text("model");
  if (!model || model->empty()) fields.wrong("model", Code::invalid_argument, "expected a model's name in \"model\"");
  if (fields.fault()) return fault_of(fields);
  return json;
}

void load(Exchange exchange, Backend& backend, std::size_t depth_max) {
  const auto arguments = body_arguments(exchange->request(), depth_max);
  if (!arguments) return exchange->answer(error_answer(arguments.error()));
  const auto lines = lines_to(exchange, "placement");
  backend.load(
      *arguments, [lines](nlohmann::json progress) { lines->progress(std::move(progress)); },
      [lines](Result<nlohmann::json> placement) { lines->done(std::move(placement)); });
}

// Without a body: what is known. Again only by a body, which a web page of somebody else cannot send.
void measure(Exchange exchange, Backend& backend, std::size_t depth_max) {
  auto arguments = nlohmann::json::object();
  if (!exchange->request().body.empty()) {
    auto body = small_body(exchange->request(), depth_max);
    if (!body) return exchange->answer(error_answer(body.error()));
    JsonFields fields(*body);
    (void)fields.boolean("again");
    if (fields.fault()) return exchange->answer(error_answer(fault_of(fields).error()));
    arguments = *std::move(body);
  }
  const auto lines = lines_to(exchange, "rates");
  lines->on_left(backend.measure(
      arguments, [lines](nlohmann::json progress) { lines->progress(std::move(progress)); },
      [lines](Result<nlohmann::json> rates) { lines->done(std::move(rates)); }));
}

void unload(Exchange exchange, Backend& backend, std::size_t depth_max) {
  const auto arguments = body_arguments(exchange->request(), depth_max);
  if (!arguments) return exchange->answer(error_answer(arguments.error()));
  backend.unload(*arguments,
                 [exchange](Result<nlohmann::json> result) { answer_result(*exchange, std::move(result)); });
}

void plan(Exchange exchange, Backend& backend) {
  const auto arguments = query_arguments(exchange->request());
  if (!arguments.contains("model")) {
    return exchange->answer(error_answer(
        ApiError{.error = {Code::invalid_argument, "[server] expected a model's name: GET /plan?model=NAME"},
                 .param = "model",
                 .name = {},
                 .status = 0}));
  }
  backend.plan(arguments, [exchange](Result<nlohmann::json> result) { answer_result(*exchange, std::move(result)); });
}

// All that is known of a model; OpenAI's four fields beside it, for clients whose base URL ends without /v1.
void show(Exchange exchange, Backend& backend) {
  const auto name = exchange->request().path_rest;
  backend.show(name, [exchange, name](Result<nlohmann::json> shown) {
    if (!shown && shown.error().code == Code::not_found) return exchange->answer(error_answer(model_not_found(name)));
    if (shown && shown->is_object()) {
      const nlohmann::json openai{{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "flotilla"}};
      for (const auto& [field, value] : openai.items()) shown->emplace(field, value);
    }
    answer_result(*exchange, std::move(shown));
  });
}

// The owner's orders about who belongs to the cluster: each field is checked by the backend, which knows its meaning.
void trust(Exchange exchange, Backend& backend, const char* wish, std::size_t depth_max) {
  auto arguments = nlohmann::json::object();
  if (!exchange->request().body.empty()) {
    auto body = small_body(exchange->request(), depth_max);
    if (!body) return exchange->answer(error_answer(body.error()));
    arguments = *std::move(body);
  }
  if (std::string_view(wish) != "join") {
    (void)backend.trust(
        wish, arguments, [](const nlohmann::json&) {},
        [exchange](Result<nlohmann::json> result) { answer_result(*exchange, std::move(result)); });
    return;
  }
  const auto lines = lines_to(exchange, "joined");
  lines->on_left(backend.trust(
      wish, arguments, [lines](nlohmann::json progress) { lines->progress(std::move(progress)); },
      [lines](Result<nlohmann::json> joined) { lines->done(std::move(joined)); }));
}

void ready(HttpExchange& exchange, Backend& backend) {
  if (backend.ready()) return answer_json(exchange, {{"status", "ready"}});
  exchange.answer(error_answer(ApiError::from(
      {Code::unavailable, "[server] no model is loaded yet; POST /load, or send a request that names one"})));
}

}  // namespace

void add_management_routes(Router& router, Backend& backend, const ServerLimits& limits) {
  const auto depth_max = limits.json_depth_max;
  constexpr auto lists = Access::of(Scope::infer, Scope::models), models = Access::of(Scope::models),
                 admin = Access::of(Scope::admin);
  router.add("GET", "/health", Access::open(),
             [](const Exchange& exchange) { answer_json(*exchange, {{"status", "ok"}}); });
  router.add("GET", "/ready", Access::open(), [&backend](const Exchange& exchange) { ready(*exchange, backend); });
  router.add("GET", "/cluster", admin,
             [&backend](const Exchange& exchange) { answer_json(*exchange, backend.cluster()); });
  router.add("GET", "/cluster/doctor", admin, [&backend](const Exchange& exchange) {
    backend.doctor([exchange](Result<nlohmann::json> result) { answer_result(*exchange, std::move(result)); });
  });
  router.add("GET", "/placements", models,
             [&backend](const Exchange& exchange) { answer_json(*exchange, backend.placements()); });
  router.add("GET", "/models/{model}", lists, [&backend](Exchange exchange) { show(std::move(exchange), backend); });
  router.add("GET", "/plan", models, [&backend](Exchange exchange) { plan(std::move(exchange), backend); });
  router.add("GET", "/members", admin,
             [&backend, depth_max](Exchange exchange) { trust(std::move(exchange), backend, "members", depth_max); });
  router.add("GET", "/tokens", admin,
             [&backend, depth_max](Exchange exchange) { trust(std::move(exchange), backend, "tokens", depth_max); });
  for (const char* wish : {"token", "tokens/revoke", "join", "approve", "revoke", "leave"})
    router.add("POST", std::string("/") + wish, admin, [&backend, wish, depth_max](Exchange exchange) {
      trust(std::move(exchange), backend, wish, depth_max);
    });
  router.add("POST", "/load", models,
             [&backend, depth_max](Exchange exchange) { load(std::move(exchange), backend, depth_max); });
  router.add("POST", "/measure", admin,
             [&backend, depth_max](Exchange exchange) { measure(std::move(exchange), backend, depth_max); });
  router.add("POST", "/unload", models,
             [&backend, depth_max](Exchange exchange) { unload(std::move(exchange), backend, depth_max); });
}

}  // namespace flotilla
