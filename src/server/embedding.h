// Decides how one HTTP request becomes texts, and their vectors one answer.
// In: an exchange, a dialect.  Out: calls on Backend.  Owns: the request until it is answered.  Thread: the loop's.
//
//   read the body (aside) → open the model → make tokens (aside) → embed → write the answer (aside)
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "server/api_error.h"
#include "server/backend.h"
#include "server/generation.h"
#include "server/http_exchange.h"

namespace flotilla {

// What a client ordered, whichever dialect it spoke.
struct EmbeddingOrder {
  std::string model;
  std::vector<std::variant<std::string, TextTokens>> texts;  // as tokens: nothing is added to their ends
  std::optional<std::uint32_t> length;                       // of a vector, which must be the model's
  bool truncates = false;                                    // a text too long is cut, not refused
};

struct EmbeddingFacts {
  std::string model;
  std::size_t tokens = 0;                         // of all texts
  std::chrono::nanoseconds opening{0}, total{0};  // until the model was open; until all vectors were there
};

// One API's way to say it. read() and whole() run on a helper thread.
class EmbeddingDialect {
 public:
  virtual ~EmbeddingDialect() = default;
  virtual ApiResult<EmbeddingOrder> read(const nlohmann::json& body) = 0;
  virtual const char* text_field() const = 0;  // "input": the field that a text too long is blamed on
  virtual std::string whole(const EmbeddingFacts& facts, const TextVectors& vectors) const = 0;
  virtual HttpAnswer refused(const ApiError& error) const = 0;
};

class Embedding : public std::enable_shared_from_this<Embedding> {
 public:
  static void start(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<EmbeddingDialect> dialect,
                    std::shared_ptr<GenerationHost> host);
  Embedding(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<EmbeddingDialect> dialect,
            std::shared_ptr<GenerationHost> host);

 private:
  void read_body();
  ApiResult<void> check_bytes(const EmbeddingOrder& order) const;
  void open_model();
  void make_tokens();
  ApiResult<std::vector<TextTokens>> tokens() const;
  ApiResult<TextTokens> tokens_of(const std::variant<std::string, TextTokens>& text) const;
  void embed();
  void write(TextVectors vectors);
  void fail(const ApiError& error);
  void end(ExchangeEnd end);
  void release();
  std::chrono::nanoseconds since_begin() const;

  std::shared_ptr<HttpExchange> exchange_;
  const std::unique_ptr<EmbeddingDialect> dialect_;
  const std::shared_ptr<GenerationHost> host_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  EmbeddingFacts facts_;
  RequestId id_;  // of what is under way; {}: nothing is
  bool is_counted_ = false;
  std::atomic<bool> ended_ = false;                // the helper thread looks at it too: nobody waits for the rest then
  std::shared_ptr<BodyBudget::Share> body_share_;  // what was asked lives on until its tokens are made

  // Written by the helper thread while it has the word, read by the loop after.
  ApiResult<EmbeddingOrder> order_;
  ApiResult<std::vector<TextTokens>> tokens_;
  std::shared_ptr<const OpenModel> model_;
  TextVectors vectors_;
  std::string answer_;
};

}  // namespace flotilla
