// Answers with a JSON body, status 200.
#pragma once

#include "server/http_exchange.h"
#include "server/json_body.h"

namespace flotilla {

// `json` is parsed or ours, in either order of fields; what stands in braces is ours.
template <class AnyJson = Json>
void answer_json(HttpExchange& exchange, const AnyJson& json) {
  exchange.answer({.body = dump(json), .headers = {}});
}

}  // namespace flotilla
