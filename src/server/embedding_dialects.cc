#include "server/embedding_dialects.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <format>
#include <utility>

#include "base/embed_limits.h"
#include "base/limits.h"
#include "server/generation_order.h"
#include "server/json_body.h"
#include "server/ollama_dialect.h"
#include "server/ollama_request.h"
#include "server/openai_errors.h"
#include "server/router.h"

namespace flotilla {
namespace {

// --- Texts ---------------------------------------------------------------------------------------

constexpr std::string_view what_texts = "a text, a list of texts, a list of token ids or a list of such lists";

bool is_token(const nlohmann::json& value) {
  return value.is_number_integer() && value >= 0 && value < limits::vocabulary_max;
}

bool is_tokens(const nlohmann::json& value) {
  return value.is_array() && !value.empty() && std::ranges::all_of(value, is_token);
}

bool is_texts(const nlohmann::json& value) {
  return std::ranges::all_of(value, [](const auto& each) { return each.is_string(); });
}

void read_texts(JsonFields& fields, std::string_view name, bool takes_tokens, EmbeddingOrder& order) {
  const auto* input = fields.find(name);
  const std::string_view what = takes_tokens ? what_texts : "a text or a list of texts";
  if (input == nullptr)
    return fields.wrong(name, Code::invalid_argument, std::format("expected {} to be {}", name, what));
  if (input->is_string()) return order.texts.emplace_back(input->get<std::string>()), void();
  if (!input->is_array()) return fields.expected(name, what, *input);
  if (takes_tokens && is_tokens(*input)) return order.texts.emplace_back(input->get<TextTokens>()), void();
  if (input->size() > limits::embed_texts_max)
    return fields.wrong(name, Code::too_large,
                        std::format("expected at most {} texts in {} but got {}; send them in parts",
                                    limits::embed_texts_max, name, input->size()));
  const bool are_texts = is_texts(*input);
  if (!are_texts && !(takes_tokens && std::ranges::all_of(*input, is_tokens)))
    return fields.expected(name, what, *input);
  for (const auto& each : *input) {
    if (are_texts)
      order.texts.emplace_back(each.get<std::string>());
    else
      order.texts.emplace_back(each.get<TextTokens>());
  }
}

// Another length than the model's is refused once the model is known.
void read_length(JsonFields& fields, EmbeddingOrder& order) {
  if (const auto length = fields.integer("dimensions", 1, UINT16_MAX))
    order.length = static_cast<std::uint32_t>(*length);
}

// --- Vectors -------------------------------------------------------------------------------------

std::span<const float> vector_at(const TextVectors& vectors, std::size_t index) {
  return std::span(vectors.values).subspan(index * vectors.length, vectors.length);
}

std::size_t count_of(const TextVectors& vectors) {
  return vectors.length > 0 ? vectors.values.size() / vectors.length : 0;
}

// A value as short as it can be and still be that float. A library's values would take many times the bytes, of
// millions.
void put_numbers(std::string& text, std::span<const float> vector) {
  std::array<char, 32> digits;
  text += '[';
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (i > 0) text += ',';
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), vector[i]);
    text.append(digits.data(), written.ptr);
  }
  text += ']';
}

// Of its F32 values, little-endian.
void put_base64(std::string& text, std::span<const float> vector) {
  static_assert(std::endian::native == std::endian::little);
  const auto bytes = std::as_bytes(vector);
  std::string digits((bytes.size() + 2) / 3 * 4 + 1, '\0');  // with the zero that the library ends it with
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(digits.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  digits.resize(static_cast<std::size_t>(written));
  text += std::format(R"("{}")", digits);
}

std::string quoted(const std::string& text) { return dump(Json(text)); }

// --- Routes --------------------------------------------------------------------------------------

template <class SomeDialect>
Router::Handler embedded_by(const std::shared_ptr<GenerationHost>& host) {
  return [host](std::shared_ptr<HttpExchange> exchange) {
    Embedding::start(std::move(exchange), std::make_unique<SomeDialect>(), host);
  };
}

void refuse_ranking(const std::shared_ptr<HttpExchange>& exchange) {
  exchange->answer(error_answer(ApiError::from(
      {Code::unsupported,
       "[server] ranking is not supported by this version: it needs a model with a ranking head (pooling_type 4) that "
       "reads "
       "a query and a document together; embed both by /v1/embeddings and compare their vectors instead"})));
}

}  // namespace

ApiResult<EmbeddingOrder> OpenAiEmbeddings::read(const nlohmann::json& body) {
  JsonFields fields(body);
  EmbeddingOrder order;
  order.model = read_model(fields, "GET /v1/models lists them");
  read_texts(fields, "input", true, order);
  read_length(fields, order);
  const auto format = fields.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    fields.expected("encoding_format", "\"float\" or \"base64\"", *fields.find("encoding_format"));
  as_base64_ = format == "base64";
  if (!fields.fault() && order.texts.empty())
    fields.wrong("input", Code::invalid_argument, "expected input to have a text at least but it is an empty list");
  if (fields.fault()) return fault_of(fields);
  return order;
}

std::string OpenAiEmbeddings::whole(const EmbeddingFacts& facts, const TextVectors& vectors) const {
  std::string text = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < count_of(vectors); ++i) {
    text += std::format(R"({}{{"object":"embedding","index":{},"embedding":)", i > 0 ? "," : "", i);
    as_base64_ ? put_base64(text, vector_at(vectors, i)) : put_numbers(text, vector_at(vectors, i));
    text += '}';
  }
  text += std::format(R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})", quoted(facts.model),
                      facts.tokens, facts.tokens);
  return text;
}

// No text at all, or a single empty one, loads the model, as with Ollama.
ApiResult<EmbeddingOrder> OllamaEmbed::read(const nlohmann::json& body) {
  JsonFields fields(body);
  EmbeddingOrder order;
  order.model = without_latest(read_model(fields, "GET /api/tags lists them"));
  if (fields.find("input") != nullptr) read_texts(fields, "input", false, order);
  read_length(fields, order);
  order.truncates = fields.boolean("truncate").value_or(true);
  if (order.texts.size() == 1 && std::get<std::string>(order.texts.front()).empty()) order.texts.clear();
  if (fields.fault()) return fault_of(fields);
  return order;
}

std::string OllamaEmbed::whole(const EmbeddingFacts& facts, const TextVectors& vectors) const {
  std::string text = std::format(R"({{"model":{},"embeddings":[)", quoted(facts.model));
  for (std::size_t i = 0; i < count_of(vectors); ++i) {
    if (i > 0) text += ',';
    put_numbers(text, vector_at(vectors, i));
  }
  text += std::format(R"(],"total_duration":{},"load_duration":{},"prompt_eval_count":{}}})", facts.total.count(),
                      facts.opening.count(), facts.tokens);
  return text;
}

HttpAnswer OllamaEmbed::refused(const ApiError& error) const { return ollama_error_answer(error); }

ApiResult<EmbeddingOrder> OllamaEmbeddings::read(const nlohmann::json& body) {
  JsonFields fields(body);
  EmbeddingOrder order;
  order.model = without_latest(read_model(fields, "GET /api/tags lists them"));
  if (auto prompt = fields.text("prompt"); prompt && !prompt->empty()) order.texts.emplace_back(*std::move(prompt));
  order.truncates = true;
  if (fields.fault()) return fault_of(fields);
  return order;
}

std::string OllamaEmbeddings::whole(const EmbeddingFacts&, const TextVectors& vectors) const {
  std::string text = R"({"embedding":)";
  put_numbers(text, vectors.values);
  return text + "}";
}

void add_embedding_routes(Router& router, const std::shared_ptr<GenerationHost>& host) {
  constexpr auto infers = Access::of(Scope::infer);
  for (const std::string prefix : {"/v1", ""}) {
    router.add("POST", prefix + "/embeddings", infers, embedded_by<OpenAiEmbeddings>(host));
    router.add("POST", prefix + "/rerank", infers, refuse_ranking);
  }
  router.add("POST", "/api/embed", infers, embedded_by<OllamaEmbed>(host), ollama_error_answer);
  router.add("POST", "/api/embeddings", infers, embedded_by<OllamaEmbeddings>(host), ollama_error_answer);
}

}  // namespace flotilla
