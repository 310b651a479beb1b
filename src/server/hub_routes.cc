#include "server/hub_routes.h"

#include <format>
#include <memory>
#include <string>
#include <utility>

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

void answer_json(HttpExchange& exchange, const nlohmann::json& json) {
  exchange.answer({.body = dump(json), .headers = {}});
}

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

// Lines of status. A client that wants none of them gets the last.
class OllamaPull {
 public:
  OllamaPull(Exchange exchange, bool streams) : exchange_(std::move(exchange)), streams_(streams) {}

  void say(const nlohmann::json& line) {
    if (line.contains("progress")) tell(line["progress"]);
  }

  void done(Result<nlohmann::json> pulled) {
    if (std::exchange(ended_, true)) return;
    if (!pulled) return fail_with(ApiError::from(std::move(pulled).error()));
    if (!streams_) return answer_json(*exchange_, {{"status", "success"}});
    for (const char* status : {"verifying sha256 digest", "writing manifest", "success"}) send({{"status", status}});
    exchange_->finish(HttpExchange::After::keep_alive);
  }

  void begin() {
    if (streams_ && !ended_) send({{"status", "pulling manifest"}});
  }
  void on_left(std::function<void()> told) { on_left_ = std::move(told); }
  void end(ExchangeEnd end) {
    if (end == ExchangeEnd::stopping) return done(fail(Code::unavailable, "[server] this node is stopping"));
    if (!std::exchange(ended_, true) && on_left_) std::exchange(on_left_, nullptr)();
  }

 private:
  void tell(const nlohmann::json& progress) {
    if (ended_ || !streams_) return;
    const std::string digest = progress.value("digest", "");
    send({{"status", "pulling " + digest.substr(0, 12)},
          {"digest", "sha256:" + digest},
          {"total", progress.value("total_bytes", std::uint64_t{0})},
          {"completed", progress.value("done_bytes", std::uint64_t{0})}});
  }
  void send(const nlohmann::json& line) {
    if (!std::exchange(started_, true)) exchange_->start_stream("application/x-ndjson");
    exchange_->send(dump(line) + "\n");
  }
  void fail_with(const ApiError& error) {
    if (!started_) return exchange_->answer(ollama_error_answer(error));
    exchange_->send(dump(nlohmann::json{{"error", error.error.message}}) + "\n");
    exchange_->finish(HttpExchange::After::close);
  }

  const Exchange exchange_;
  const bool streams_;
  std::function<void()> on_left_;
  bool started_ = false, ended_ = false;
};

void ollama_pull(const Exchange& exchange, Backend& backend, std::size_t depth_max) {
  const auto order = read_order(exchange->request(), depth_max);
  if (!order) return exchange->answer(ollama_error_answer(order.error()));
  const auto pull = std::make_shared<OllamaPull>(exchange, order->streams);
  exchange->on_end([weak = std::weak_ptr(pull)](ExchangeEnd end) {
    if (const auto live = weak.lock()) live->end(end);
  });
  // A name that is none is an answer of its own; what comes after is told in lines.
  pull->on_left(backend.pull(
      without_latest(order->model), order->revision, [pull](const nlohmann::json& line) { pull->say(line); },
      [pull](Result<nlohmann::json> pulled) { pull->done(std::move(pulled)); }));
  pull->begin();
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
