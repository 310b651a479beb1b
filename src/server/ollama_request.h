// What bodies of Ollama's /api/chat and /api/generate order: its options in our words.
#pragma once

#include "server/chat_request.h"
#include "server/generation_order.h"
#include "server/json_body.h"

namespace flotilla {

// Faults stay in `fields`. Where there is nothing to answer (no message, no prompt), which is how Ollama's clients ask
// for a model to be loaded, `chat` has no messages.
GenerationOrder read_ollama_chat(JsonFields& fields, ChatRequest& chat);
GenerationOrder read_ollama_generate(JsonFields& fields, ChatRequest& chat);

// A model's name as we list it: Ollama's clients add ":latest" where a name has no tag.
std::string without_latest(std::string name);

}  // namespace flotilla
