#include "server/text_dialects.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/limits.h"
#include "server/openai_dialect.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

constexpr std::size_t text_bytes_max = 1u << 20;  // tokenizing takes many times a text's bytes

ApiResult<GenerationOrder> checked(JsonFields& fields) {
  GenerationOrder order;
  order.model = read_model(fields, "GET /v1/models lists them");
  if (fields.fault()) return fault_of(fields);
  return order;
}

// A token may be part of a character: then its bytes stand for it.
Json piece_json(const std::string& piece) { return is_valid_utf8(piece) ? Json(piece) : bytes_json(piece); }

}  // namespace

ApiResult<GenerationOrder> Tokenize::read(const nlohmann::json& body) {
  JsonFields fields(body);
  auto text = fields.text("content");
  if (!text) text = fields.text("prompt");  // vLLM's name
  if (!text) {
    fields.wrong("content", Code::invalid_argument, "expected content to be a string");
  } else if (text->size() > text_bytes_max) {
    fields.wrong("content", Code::too_large,
                 std::format("expected at most {} bytes of text but got {}", text_bytes_max, text->size()));
  }
  text_ = std::move(text).value_or("");
  add_special_ = fields.boolean("add_special").value_or(false);
  parse_special_ = fields.boolean("parse_special").value_or(true);
  with_pieces_ = fields.boolean("with_pieces").value_or(false);
  return checked(fields);
}

ApiResult<std::vector<Prompt>> Tokenize::prompts(const OpenModel& model) {
  Json tokens = Json::array();
  for (const auto token : model.tokenizer->encode(text_, add_special_, parse_special_)) {
    if (with_pieces_) {
      tokens.push_back({{"id", token}, {"piece", piece_json(model.tokenizer->piece(token, true))}});
    } else {
      tokens.push_back(token);
    }
  }
  answer_["count"] = tokens.size();
  answer_["tokens"] = std::move(tokens);
  return std::vector<Prompt>();
}

ApiResult<GenerationOrder> Detokenize::read(const nlohmann::json& body) {
  JsonFields fields(body);
  const auto* tokens = fields.array("tokens", limits::context_tokens_max);
  const auto is_token = [](const nlohmann::json& value) {
    return value.is_number_integer() && value >= 0 && value < limits::vocabulary_max;
  };
  if (tokens == nullptr || !std::ranges::all_of(*tokens, is_token)) {
    fields.wrong("tokens", Code::invalid_argument,
                 std::format("expected tokens to be an array of token ids below {}", limits::vocabulary_max));
  } else {
    tokens_ = tokens->get<std::vector<TokenId>>();
  }
  return checked(fields);
}

ApiResult<std::vector<Prompt>> Detokenize::prompts(const OpenModel& model) {
  const auto foreign = std::ranges::find_if(
      tokens_, [&](TokenId token) { return std::cmp_greater_equal(token, model.tokenizer->size()); });
  if (foreign != tokens_.end()) {
    return api_fail(Code::invalid_argument, "tokens",
                    "[server] expected token ids below {}, the size of {}'s vocabulary, but got {}",
                    model.tokenizer->size(), model.name, *foreign);
  }
  answer_["content"] = model.tokenizer->decode(tokens_, true);
  return std::vector<Prompt>();
}

}  // namespace flotilla
