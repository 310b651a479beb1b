#include "server/dialect_routes.h"

#include <string>
#include <utility>

#include "server/anthropic_messages.h"
#include "server/embedding_dialects.h"
#include "server/generation.h"
#include "server/key_scope.h"
#include "server/ollama_dialect.h"
#include "server/ollama_models.h"
#include "server/openai_chat.h"
#include "server/openai_completions.h"
#include "server/openai_models.h"
#include "server/openai_responses.h"
#include "server/response_store.h"
#include "server/router.h"
#include "server/text_dialects.h"

namespace flotilla {
namespace {

using Exchange = std::shared_ptr<HttpExchange>;

constexpr auto infers = Access::of(Scope::infer), lists = Access::of(Scope::infer, Scope::models);

template <class SomeDialect>
Router::Handler answered_by(const std::shared_ptr<GenerationHost>& host) {
  return [host](Exchange exchange) { Generation::start(std::move(exchange), std::make_unique<SomeDialect>(), host); };
}

Router::Handler answered_by_responses(const std::shared_ptr<GenerationHost>& host) {
  return [host, store = std::make_shared<ResponseStore>()](Exchange exchange) {
    const auto key = key_scope(exchange->request(), "responses");
    Generation::start(std::move(exchange), std::make_unique<OpenAiResponses>(store, key), host);
  };
}

}  // namespace

void add_dialect_routes(Router& router, Backend& backend, const std::shared_ptr<GenerationHost>& host) {
  const auto responses = answered_by_responses(host);
  for (const std::string prefix : {"/v1", ""}) {
    router.add("POST", prefix + "/chat/completions", infers, answered_by<OpenAiChat>(host));
    router.add("POST", prefix + "/completions", infers, answered_by<OpenAiCompletions>(host));
    router.add("POST", prefix + "/responses", infers, responses);
    router.add("POST", prefix + "/messages", infers, answered_by<AnthropicMessages>(host), anthropic_error_answer);
    router.add("POST", prefix + "/messages/count_tokens", infers, answered_by<AnthropicCount>(host),
               anthropic_error_answer);
    router.add("GET", prefix + "/models", lists,
               [&backend](const Exchange& exchange) { list_models(*exchange, backend); });
  }
  router.add("GET", "/v1/models/{model}", lists,
             [&backend](const Exchange& exchange) { retrieve_model(*exchange, backend); });
  router.add("POST", "/api/chat", infers, answered_by<OllamaChat>(host), ollama_error_answer);
  router.add("POST", "/api/generate", infers, answered_by<OllamaGenerate>(host), ollama_error_answer);
  add_embedding_routes(router, host);
  add_ollama_model_routes(router, backend, host->limits.json_depth_max);
  router.add("POST", "/tokenize", infers, answered_by<Tokenize>(host));
  router.add("POST", "/detokenize", infers, answered_by<Detokenize>(host));
}

}  // namespace flotilla
