#include "server/ollama_models.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <memory>
#include <string>
#include <utility>

#include "server/backend.h"
#include "server/json_answer.h"
#include "server/json_body.h"
#include "server/ollama_dialect.h"
#include "server/ollama_request.h"
#include "server/openai_models.h"
#include "server/router.h"
#include "server/small_body.h"

namespace flotilla {
namespace {

using Exchange = std::shared_ptr<HttpExchange>;

// Of the API, not of this program: clients compare it with the one that brought what they are going to ask. This one
// has thinking, tools in streams and capabilities of models.
constexpr std::string_view api_version = "0.12.6";

std::string moment(std::int64_t seconds) {
  return rfc3339(std::chrono::system_clock::time_point(std::chrono::seconds(seconds)));
}

Json details(std::string_view family) {
  return {{"parent_model", ""},   {"format", "gguf"},
          {"family", family},     {"families", family.empty() ? Json(nullptr) : Json::array({family})},
          {"parameter_size", ""}, {"quantization_level", ""}};
}

// There is no digest of a whole file that some machines hold in parts.
Json listed(const ModelListing& listing) {
  return {{"name", listing.name},       {"model", listing.name}, {"modified_at", moment(listing.created)},
          {"size", listing.file_bytes}, {"digest", ""},          {"details", details("")}};
}

void tags(HttpExchange& exchange, Backend& backend) {
  Json models = Json::array();
  for (const auto& listing : backend.models()) models.push_back(listed(listing));
  answer_json(exchange, {{"models", std::move(models)}});
}

// Those that answer at once. When they go is nobody's knowledge: they stay until they are unloaded or room is needed.
void running(HttpExchange& exchange, Backend& backend) {
  Json models = Json::array();
  for (const auto& listing : backend.models()) {
    if (listing.state != "ready") continue;
    auto model = listed(listing);
    model["size_vram"] = 0;
    model["context_length"] = listing.context_tokens;
    models.push_back(std::move(model));
  }
  answer_json(exchange, {{"models", std::move(models)}});
}

Json shown(const nlohmann::json& model, const ModelListing& listing) {
  const auto named = model.find("architecture");
  const auto family = named != model.end() && named->is_string() ? named->get<std::string>() : std::string();
  Json info{{"general.architecture", family}};
  const auto put = [&](const char* name, const char* ours) {
    if (model.contains(ours)) info[std::format("{}.{}", family, name)] = Json(model[ours]);
  };
  put("context_length", "context_length");
  put("embedding_length", "embedding_length");
  put("block_count", "layers");
  Json capabilities = Json::array();
  if (model.contains("capabilities")) {
    for (const auto& each : model["capabilities"]) capabilities.push_back(Json(each));
  }
  if (std::ranges::find(capabilities, "embedding") == capabilities.end())
    capabilities.insert(capabilities.begin(), "completion");
  return {{"modelfile", ""},
          {"parameters", ""},
          {"template", ""},
          {"modified_at", moment(listing.created)},
          {"details", details(family)},
          {"model_info", std::move(info)},
          {"capabilities", std::move(capabilities)}};
}

ApiResult<std::string> named_model(const HttpRequest& request, std::size_t depth_max) {
  const auto body = small_body(request, depth_max);
  if (!body) return std::unexpected(body.error());
  JsonFields fields(*body);
  auto name = fields.text("model");
  if (!name) name = fields.text("name");  // as it was called before
  if (!name || name->empty())
    fields.wrong("model", Code::invalid_argument, "expected a model's name in \"model\"; GET /api/tags lists them");
  if (fields.fault()) return fault_of(fields);
  return without_latest(*std::move(name));
}

void show(const Exchange& exchange, Backend& backend, std::size_t depth_max) {
  const auto name = named_model(exchange->request(), depth_max);
  if (!name) return exchange->answer(ollama_error_answer(name.error()));
  const auto models = backend.models();
  const auto listing = std::ranges::find(models, *name, &ModelListing::name);
  if (listing == models.end()) return exchange->answer(ollama_error_answer(model_not_found(*name)));
  backend.show(*name, [exchange, found = *listing](const Result<nlohmann::json>& model) {
    if (!model) return exchange->answer(ollama_error_answer(ApiError::from(model.error())));
    answer_json(*exchange, shown(*model, found));
  });
}

struct Refused {
  const char* path;
  const char* words;
};
constexpr std::array refused_routes{
    Refused{"/api/push", "pushing models is not supported"},
    Refused{"/api/create", "creating models is not supported; put a GGUF file into a folder of models"},
    Refused{"/api/copy", "copying models is not supported; machines of a cluster copy what they need by themselves"},
};

}  // namespace

void add_ollama_model_routes(Router& router, Backend& backend, std::size_t json_depth_max) {
  constexpr auto lists = Access::of(Scope::infer, Scope::models);
  router.add(
      "GET", "/api/version", lists,
      [](const Exchange& exchange) { answer_json(*exchange, {{"version", api_version}}); }, ollama_error_answer);
  router.add(
      "GET", "/api/tags", lists, [&backend](const Exchange& exchange) { tags(*exchange, backend); },
      ollama_error_answer);
  router.add(
      "GET", "/api/ps", lists, [&backend](const Exchange& exchange) { running(*exchange, backend); },
      ollama_error_answer);
  router.add(
      "POST", "/api/show", lists,
      [&backend, json_depth_max](const Exchange& exchange) { show(exchange, backend, json_depth_max); },
      ollama_error_answer);
  for (const auto& refused : refused_routes) {
    router.add(
        "POST", refused.path, Access::of(Scope::models),
        [words = refused.words](const Exchange& exchange) {
          exchange->answer(ollama_error_answer(ApiError::from({Code::unsupported, std::format("[server] {}", words)})));
        },
        ollama_error_answer);
  }
}

}  // namespace flotilla
