// How clients ask for vectors: OpenAI's way, and Ollama's two.
#pragma once

#include "server/embedding.h"

namespace flotilla {

class Router;

// POST /v1/embeddings.
class OpenAiEmbeddings : public EmbeddingDialect {
 public:
  ApiResult<EmbeddingOrder> read(const nlohmann::json& body) override;
  const char* text_field() const override { return "input"; }
  std::string whole(const EmbeddingFacts& facts, const TextVectors& vectors) const override;
  HttpAnswer refused(const ApiError& error) const override { return error_answer(error); }

 private:
  bool as_base64_ = false;
};

// POST /api/embed.
class OllamaEmbed : public EmbeddingDialect {
 public:
  ApiResult<EmbeddingOrder> read(const nlohmann::json& body) override;
  const char* text_field() const override { return "input"; }
  std::string whole(const EmbeddingFacts& facts, const TextVectors& vectors) const override;
  HttpAnswer refused(const ApiError& error) const override;
};

// POST /api/embeddings, as it was before: one text.
class OllamaEmbeddings : public OllamaEmbed {
 public:
  ApiResult<EmbeddingOrder> read(const nlohmann::json& body) override;
  const char* text_field() const override { return "prompt"; }
  std::string whole(const EmbeddingFacts& facts, const TextVectors& vectors) const override;
};

// All of them, and POST /v1/rerank, which says what it lacks.
void add_embedding_routes(Router& router, const std::shared_ptr<GenerationHost>& host);

}  // namespace flotilla
