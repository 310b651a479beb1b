#include "server/embedding.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/limits.h"
#include "base/request_log.h"
#include "base/words.h"
#include "server/json_body.h"

namespace flotilla {

void Embedding::start(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<EmbeddingDialect> dialect,
                      std::shared_ptr<GenerationHost> host) {
  const auto embedding = std::make_shared<Embedding>(std::move(exchange), std::move(dialect), std::move(host));
  embedding->exchange_->on_end([weak = embedding->weak_from_this()](ExchangeEnd end) {
    if (const auto self = weak.lock()) self->end(end);
  });
  embedding->read_body();
}

Embedding::Embedding(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<EmbeddingDialect> dialect,
                     std::shared_ptr<GenerationHost> host)
    : exchange_(std::move(exchange)), dialect_(std::move(dialect)), host_(std::move(host)) {}

// `work` holds no owner: `done`, which the loop destroys, keeps us alive until after it has run.
void Embedding::read_body() {
  if (host_->is_full_for(1)) return fail(host_->full());
  ++host_->choices_running;
  is_counted_ = true;
  body_share_ = std::move(exchange_->request().body_share);
  host_->backend.run_aside(
      [this, body = std::move(exchange_->request().body), depth_max = host_->limits.json_depth_max] {
        if (ended_) return;
        if (auto json = parse_json(body, depth_max)) {
          order_ = dialect_->read(*json);
          if (auto fit = order_ ? check_bytes(*order_) : ApiResult<void>(); !fit)
            order_ = std::unexpected(std::move(fit).error());
        } else {
          order_ = std::unexpected(ApiError::from(std::move(json).error()));
        }
      },
      [self = shared_from_this()] {
        if (self->ended_) return;
        if (!self->order_) return self->fail(self->order_.error());
        self->open_model();
      });
}

// Making tokens takes many times a text's bytes of memory, and the one text thread; until the model is open they wait.
ApiResult<void> Embedding::check_bytes(const EmbeddingOrder& order) const {
  std::size_t bytes = 0;
  for (const auto& text : order.texts)
    if (const auto* words = std::get_if<std::string>(&text)) bytes += words->size();
  if (bytes <= limits::template_output_bytes_max) return {};
  return api_fail(Code::context_length, dialect_->text_field(),
                  "[server] expected at most {} bytes of texts but got {}; shorten them or send fewer at a time",
                  limits::template_output_bytes_max, bytes);
}

void Embedding::open_model() {
  facts_.model = order_->model;
  host_->backend.open(order_->model, ModelUse::embed,
                      [self = shared_from_this()](Result<std::shared_ptr<const OpenModel>> model) {
                        if (self->ended_) return;
                        if (!model) return self->fail(open_error(std::move(model).error(), self->order_->model));
                        self->model_ = std::move(*model);
                        self->facts_.model = self->model_->name;
                        self->facts_.opening = self->since_begin();
                        self->make_tokens();
                      });
}

void Embedding::make_tokens() {
  host_->backend.run_aside([this] { tokens_ = tokens(); },
                           [self = shared_from_this()] {
                             if (self->ended_) return;
                             if (!self->tokens_) return self->fail(self->tokens_.error());
                             self->embed();
                           });
}

ApiResult<std::vector<TextTokens>> Embedding::tokens() const {
  if (order_->length && *order_->length != model_->vector_length)
    return api_fail(
        Code::unsupported, "dimensions",
        "[server] expected dimensions to be {}, the length of {}'s vectors, or absent but got {}; shortened "
        "vectors are not supported",
        model_->vector_length, model_->name, *order_->length);
  std::vector<TextTokens> all;
  for (const auto& text : order_->texts) {
    if (ended_) break;
    auto tokens = tokens_of(text);
    if (!tokens) return std::unexpected(std::move(tokens).error());
    all.push_back(*std::move(tokens));
  }
  return all;
}

ApiResult<TextTokens> Embedding::tokens_of(const std::variant<std::string, TextTokens>& text) const {
  TextTokens tokens;
  if (const auto* given = std::get_if<TextTokens>(&text)) {
    const auto foreign = std::ranges::find_if(
        *given, [&](TokenId token) { return std::cmp_greater_equal(token, model_->tokenizer->size()); });
    if (foreign != given->end())
      return api_fail(
          Code::invalid_argument, dialect_->text_field(),
          "[server] expected token ids below {}, the size of {}'s vocabulary, but got {}; these are another "
          "model's: send texts (LangChain: check_embedding_ctx_length=False)",
          model_->tokenizer->size(), model_->name, *foreign);
    tokens = *given;
  } else {
    // No special tokens are parsed in it: a client that needs them sends token ids.
    tokens = model_->tokenizer->encode(std::get<std::string>(text), true, false);
  }
  if (tokens.empty())
    return api_fail(Code::invalid_argument, dialect_->text_field(),
                    "[server] expected texts of at least one token each but {} makes none of one; leave it out",
                    model_->name);
  const std::size_t most = model_->context_tokens;
  if (tokens.size() <= most) return tokens;
  if (!order_->truncates)
    return api_fail(Code::context_length, dialect_->text_field(),
                    "[server] expected texts of at most {} tokens, which {} takes, but got one of {}; part it, or ask "
                    "by /api/embed, which cuts texts unless truncate is false",
                    most, model_->name, tokens.size());
  // What stands at its end stays there.
  const TokenId last = tokens.back();
  tokens.resize(most);
  tokens.back() = last;
  return tokens;
}

void Embedding::embed() {
  body_share_ = nullptr;
  for (const TextTokens& text : *tokens_) facts_.tokens += text.size();
  ModelTraffic& counts = host_->traffic->of(facts_.model);
  counts.prompt_tokens += facts_.tokens;
  counts.embedded_texts += tokens_->size();
  if (tokens_->empty()) return write({.length = model_->vector_length, .values = {}});
  EmbedRequest request{.id = {random_u64()}, .placement = model_->placement, .texts = *std::move(tokens_)};
  id_ = request.id;
  host_->backend.embed(std::move(request), [self = shared_from_this()](Result<TextVectors> vectors) {
    if (self->ended_) return;
    self->id_ = {};
    if (!vectors) return self->fail(ApiError::from(std::move(vectors).error()));
    self->write(*std::move(vectors));
  });
}

void Embedding::write(TextVectors vectors) {
  vectors_ = std::move(vectors);
  facts_.total = since_begin();
  host_->backend.run_aside(
      [this] {
        if (!ended_) answer_ = dialect_->whole(facts_, vectors_);
      },
      [self = shared_from_this()] {
        if (self->ended_) return;
        self->exchange_->request().account =
            std::format("{}, {} tokens embedded", self->facts_.model, self->facts_.tokens);
        self->exchange_->answer({.body = std::move(self->answer_), .headers = {}});
        self->release();
      });
}

void Embedding::fail(const ApiError& error) {
  if (ended_) return;
  host_->traffic->failed(error.error.code);
  auto& request = exchange_->request();
  // What is the client's fault may name what it wrote, and is told to it alone.
  if (status_of(error) >= 500)
    log_request(LogLevel::warning, "server", request.id, "{}", without_room(error.error.message));
  exchange_->answer(dialect_->refused(error));
  release();
}

void Embedding::end(ExchangeEnd end) {
  if (ended_) return;
  const auto self = shared_from_this();
  if (end == ExchangeEnd::stopping)
    return fail(ApiError::from({Code::unavailable, "[server] this node is stopping; ask another one"}));
  release();
}

// However it ended: nothing of it goes on.
void Embedding::release() {
  const auto self = shared_from_this();  // the backend drops its callback in cancel_embedding()
  ended_ = true;
  if (std::exchange(is_counted_, false)) host_->give_back(1);
  if (id_ != RequestId{}) host_->backend.cancel_embedding(std::exchange(id_, {}));
  exchange_ = nullptr;
}

std::chrono::nanoseconds Embedding::since_begin() const { return std::chrono::steady_clock::now() - began_; }

}  // namespace flotilla
