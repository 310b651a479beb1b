// What a body of POST /v1/messages orders: Anthropic's messages of blocks as messages, calls and answers of tools.
#pragma once

#include "server/chat_request.h"
#include "server/generation_order.h"
#include "server/json_body.h"

namespace flotilla {

// Faults stay in `fields`. What only Anthropic's own servers have (images, documents, their tools) is refused by name.
GenerationOrder read_anthropic_order(JsonFields& fields, ChatRequest& chat);

}  // namespace flotilla
