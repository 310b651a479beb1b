// GET /v1/models and /v1/models/{id}: OpenAI's list of models, with what else we know of them beside.
#pragma once

#include <memory>
#include <string>

#include "server/backend.h"
#include "server/http_exchange.h"
#include "server/json_body.h"
#include "server/openai_errors.h"

namespace flotilla {

Json model_json(const ModelListing& listing);
ApiError model_not_found(const std::string& model);

void list_models(HttpExchange& exchange, Backend& backend);
void retrieve_model(HttpExchange& exchange, Backend& backend);  // request().path_rest is the name

}  // namespace flotilla
