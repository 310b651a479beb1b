#include "server/openai_models.h"

#include <algorithm>
#include <format>

#include "server/json_answer.h"

namespace flotilla {

Json model_json(const ModelListing& listing) {
  Json model{{"id", listing.name},     {"object", "model"},      {"created", listing.created},
             {"owned_by", "flotilla"}, {"state", listing.state}, {"file_bytes", listing.file_bytes}};
  if (listing.context_tokens > 0) {
    model["context_tokens"] = listing.context_tokens;
    model["max_model_len"] = listing.context_tokens;  // the name under which other servers' clients look for it
  }
  return model;
}

ApiError model_not_found(const std::string& model) {
  const auto shown = model.size() <= 200 ? model : model.substr(0, 200) + "…";
  return {.error = {Code::not_found,
                    std::format("[server] expected a model we have but got {}; GET /v1/models lists them", shown)},
          .param = "model",
          .name = "model_not_found",
          .status = 0};
}

void list_models(HttpExchange& exchange, Backend& backend) {
  Json data = Json::array();
  for (const auto& listing : backend.models()) data.push_back(model_json(listing));
  answer_json(exchange, Json{{"object", "list"}, {"data", std::move(data)}});
}

void retrieve_model(HttpExchange& exchange, Backend& backend) {
  const auto models = backend.models();
  const auto& name = exchange.request().path_rest;
  const auto found = std::ranges::find(models, name, &ModelListing::name);
  if (found == models.end()) return exchange.answer(error_answer(model_not_found(name)));
  answer_json(exchange, model_json(*found));
}

}  // namespace flotilla
