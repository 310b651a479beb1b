// What a body of POST /v1/responses orders: items instead of messages, tools without an envelope.
#pragma once

#include <optional>
#include <string>

#include "server/chat_request.h"
#include "server/generation_order.h"
#include "server/json_body.h"

namespace flotilla {

struct ResponseRequest {
  GenerationOrder order;
  ChatRequest chat;          // the input; what stands before it comes by `previous`
  std::string instructions;  // of this answer alone: they do not carry over
  std::string previous;      // the answer that this one goes on from; empty: none
  bool store = true;
  Json echo = Json::object();  // fields that the answer says again
};

// Faults stay in `fields`. Tools of kinds that only OpenAI's servers run are left out, and the answer's "tools" says
// which were taken.
ResponseRequest read_response_request(JsonFields& fields);

}  // namespace flotilla
