#include "server/openai_completions.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/limits.h"

namespace flotilla {
namespace {

bool is_token(const nlohmann::json& value) {
  return value.is_number_integer() && value >= 0 && value < limits::vocabulary_max;
}

std::optional<std::vector<TokenId>> token_array(const nlohmann::json& value) {
  if (!value.is_array() || value.empty() || value.size() > limits::context_tokens_max) return std::nullopt;
  if (!std::ranges::all_of(value, is_token)) return std::nullopt;
  return value.get<std::vector<TokenId>>();
}

}  // namespace

ApiResult<GenerationOrder> OpenAiCompletions::read(const nlohmann::json& body) {
  JsonFields fields(body);
  auto order = read_order(fields);
  read_prompts(fields);
  include_usage_ = order.include_usage;
  for (const char* chats : {"tools", "chat_template_kwargs"}) refuse_field(fields, chats, "use /v1/chat/completions");

  echo_ = order.echo = fields.boolean("echo").value_or(false);
  // No tokens at all make sense only where the prompt's own scores are asked for.
  if (const auto tokens_max = fields.integer("max_tokens", echo_ ? 0 : 1, limits::context_tokens_max)) {
    order.tokens_max = static_cast<std::uint32_t>(*tokens_max);
  }
  if (const auto top = fields.integer("logprobs", 0, limits::top_logprobs_max)) {
    top_logprobs_ = order.top_logprobs = static_cast<std::int32_t>(*top);
  }
  if (const auto best_of = fields.integer("best_of", 1, limits::choices_max); best_of && *best_of != order.choices) {
    fields.wrong(
        "best_of", Code::unsupported,
        std::format("expected best_of to equal n ({}) but got {}; choosing among more answers is not supported",
                    order.choices, *best_of));
  }
  if (const auto suffix = fields.text("suffix"); suffix && !suffix->empty()) {
    fields.wrong("suffix", Code::unsupported, "suffix is not supported by this version; leave the field out");
  }
  if (sources_.size() * order.choices > limits::requests_queued_max) {
    fields.wrong("prompt", Code::too_large,
                 std::format("expected at most {} choices of all prompts together but got {}",
                             limits::requests_queued_max, sources_.size() * order.choices));
  }
  wants_token_ids_ = order.return_token_ids;
  if (fields.fault()) return fault_of(fields);
  return order;
}

// A string, an array of strings, an array of tokens, or an array of arrays of tokens.
void OpenAiCompletions::read_prompts(JsonFields& fields) {
  constexpr auto what = "a string, an array of strings, an array of token ids or an array of such arrays";
  const auto* prompt = fields.find("prompt");
  if (prompt == nullptr) {
    return fields.wrong("prompt", Code::invalid_argument, std::format("expected prompt to be {}", what));
  }
  if (prompt->is_string()) {
    sources_.emplace_back(prompt->get<std::string>());
    return;
  }
  if (auto tokens = token_array(*prompt)) {
    sources_.emplace_back(std::move(*tokens));
    return;
  }
  if (!prompt->is_array() || prompt->empty()) return fields.expected("prompt", what, *prompt);
  if (prompt->size() > limits::prompts_max) {
    return fields.expected("prompt", std::format("at most {} prompts", limits::prompts_max), *prompt);
  }
  if (prompt->front().is_number()) {
    const auto wrong = std::ranges::find_if_not(*prompt, is_token);
    return fields.wrong("prompt", Code::invalid_argument,
                        std::format("expected every item of prompt to be a token id below {} but got {}",
                                    limits::vocabulary_max, wrong == prompt->end() ? "one too many" : type_of(*wrong)));
  }
  const bool strings = prompt->front().is_string();
  for (const auto& item : *prompt) {
    if (auto tokens = token_array(item); tokens && !strings) {
      sources_.emplace_back(std::move(*tokens));
    } else if (strings && item.is_string()) {
      sources_.emplace_back(item.get<std::string>());
    } else {
      return fields.wrong("prompt", Code::invalid_argument,
                          std::format("expected prompt to be {} but got an item that is {}", what, type_of(item)));
    }
  }
}

// Tokenizing takes many times a text's bytes of memory, and the one text thread: a text that cannot fit is not begun.
ApiResult<void> OpenAiCompletions::check_texts(const OpenModel& model) const {
  const std::size_t longest = model.tokenizer->token_bytes_max();
  std::size_t bytes = 0;
  for (const auto& source : sources_) {
    const auto* text = std::get_if<std::string>(&source);
    if (text == nullptr) continue;
    bytes += text->size();
    const std::size_t tokens_least = (text->size() + longest - 1) / longest;
    if (tokens_least >= model.context_tokens) {
      return api_fail(Code::context_length, "prompt",
                      "[server] expected a prompt and an answer that fit {}'s context of {} tokens but got a prompt of "
                      "{} bytes, which are at least {} tokens; shorten the prompt or load the model with a larger "
                      "context",
                      model.name, model.context_tokens, text->size(), tokens_least);
    }
  }
  if (bytes > limits::template_output_bytes_max) {
    return api_fail(Code::context_length, "prompt",
                    "[server] expected at most {} bytes of prompts but got {}; shorten them, send fewer at a time or "
                    "send token ids",
                    limits::template_output_bytes_max, bytes);
  }
  return {};
}

ApiResult<std::vector<Prompt>> OpenAiCompletions::prompts(const OpenModel& model) {
  if (auto fit = check_texts(model); !fit) return std::unexpected(std::move(fit).error());
  const auto& tokenizer = *model.tokenizer;
  std::vector<Prompt> prompts;
  for (auto& source : sources_) {
    Prompt prompt;
    if (auto* text = std::get_if<std::string>(&source)) {
      // No special tokens are parsed in it: a client that needs them sends token ids.
      prompt.tokens = tokenizer.encode(*text, true, false);
      if (prompt.tokens.empty() && tokenizer.bos() >= 0) prompt.tokens.push_back(tokenizer.bos());
      if (echo_) prompt.text = std::move(*text);
    } else {
      prompt.tokens = std::move(std::get<std::vector<TokenId>>(source));
      const auto foreign = std::ranges::find_if(
          prompt.tokens, [&](TokenId token) { return std::cmp_greater_equal(token, tokenizer.size()); });
      if (foreign != prompt.tokens.end()) {
        return api_fail(Code::invalid_argument, "prompt",
                        "[server] expected token ids below {}, the size of {}'s vocabulary, but got {}",
                        tokenizer.size(), model.name, *foreign);
      }
      if (echo_) prompt.text = tokenizer.decode(prompt.tokens, false);
    }
    if (prompt.tokens.empty()) {
      return api_fail(Code::invalid_argument, "prompt",
                      "[server] expected a prompt of at least one token but got an empty one");
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

// Legacy form: parallel arrays. The first token of an echoed prompt follows nothing and has null.
Json OpenAiCompletions::logprobs(const std::vector<ScoredToken>& scores) const {
  if (top_logprobs_ < 0) return nullptr;
  Json tokens = Json::array(), token_logprobs = Json::array(), top_logprobs = Json::array(), offsets = Json::array();
  for (const auto& scored : scores) {
    tokens.push_back(scored.bytes);
    token_logprobs.push_back(scored.logprob ? Json(*scored.logprob) : Json(nullptr));
    offsets.push_back(scored.text_offset);
    Json top = scored.logprob ? Json::object() : Json(nullptr);
    // Tokens whose text is alike share a key; the likelier, which comes first, keeps it.
    for (const auto& [bytes, logprob] : scored.top) top.emplace(bytes, logprob);
    top_logprobs.push_back(std::move(top));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(token_logprobs)},
          {"top_logprobs", top_logprobs_ > 0 ? std::move(top_logprobs) : Json(nullptr)},
          {"text_offset", std::move(offsets)}};
}

Json OpenAiCompletions::whole_choice(const ChoicePiece& piece) const {
  const auto text = text_of(piece.parts, AnswerPart::Kind::content);
  Json choice{{"index", piece.index},
              {"text", text},
              {"logprobs", piece.scores.empty() && text.empty() ? Json(nullptr) : logprobs(piece.scores)},
              {"finish_reason", piece.finish.empty() ? Json(nullptr) : Json(piece.finish)}};
  if (wants_token_ids_) choice["token_ids"] = piece.token_ids;
  return choice;
}

}  // namespace flotilla
