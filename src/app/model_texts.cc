#include "app/model_texts.h"

#include <array>
#include <utility>

namespace flotilla {
namespace {

constexpr std::array special_keys{std::pair{"bos", "bos_token_id"},         std::pair{"eos", "eos_token_id"},
                                  std::pair{"eot", "eot_token_id"},         std::pair{"eom", "eom_token_id"},
                                  std::pair{"unk", "unknown_token_id"},     std::pair{"sep", "seperator_token_id"},
                                  std::pair{"pad", "padding_token_id"},     std::pair{"cls", "cls_token_id"},
                                  std::pair{"mask", "mask_token_id"},       std::pair{"fim_pre", "fim_pre_token_id"},
                                  std::pair{"fim_suf", "fim_suf_token_id"}, std::pair{"fim_mid", "fim_mid_token_id"},
                                  std::pair{"fim_pad", "fim_pad_token_id"}, std::pair{"fim_rep", "fim_rep_token_id"},
                                  std::pair{"fim_sep", "fim_sep_token_id"}};

constexpr std::array flag_keys{std::pair{"add_bos", "add_bos_token"}, std::pair{"add_eos", "add_eos_token"},
                               std::pair{"add_space_prefix", "add_space_prefix"}};

std::string key(std::string_view name) { return std::format("tokenizer.ggml.{}", name); }

// Absent gives `otherwise`; present but of the wrong type is an error.
template <class T>
Result<T> optional_value(Result<T> value, T otherwise) {
  if (!value && value.error().code == Code::not_found) return otherwise;
  return value;
}

Result<ModelText> make_text(const Gguf& gguf) {
  FLOTILLA_TRY(auto data, read_vocabulary(gguf));
  std::string source = data.chat_template;
  ModelText text;
  FLOTILLA_TRY(text.tokenizer, Tokenizer::create(std::move(data)));
  FLOTILLA_TRY(text.chat_template, ChatTemplate::create(std::move(source), text.tokenizer));
  return text;
}

}  // namespace

Result<VocabularyData> read_vocabulary(const Gguf& gguf) {
  VocabularyData data;
  FLOTILLA_TRY(data.model, gguf.text(key("model")));
  FLOTILLA_TRY(data.pre, optional_value(gguf.text(key("pre")), std::string()));
  FLOTILLA_TRY(data.tokens, gguf.texts(key("tokens")));
  FLOTILLA_TRY(data.scores, optional_value(gguf.reals(key("scores")), std::vector<float>()));
  FLOTILLA_TRY(const auto kinds, optional_value(gguf.numbers(key("token_type")), std::vector<std::int64_t>()));
  data.kinds.assign(kinds.begin(), kinds.end());
  FLOTILLA_TRY(data.merges, optional_value(gguf.texts(key("merges")), std::vector<std::string>()));
  for (const auto& [name, suffix] : special_keys) {
    if (!gguf.has(key(suffix))) continue;
    FLOTILLA_TRY(const auto id, gguf.number(key(suffix)));
    if (id < data.tokens.size()) data.special[name] = static_cast<TokenId>(id);
  }
  for (const auto& [name, suffix] : flag_keys) {
    if (!gguf.has(key(suffix))) continue;
    FLOTILLA_TRY(data.flags[name], gguf.flag(key(suffix)));
  }
  FLOTILLA_TRY(data.chat_template, optional_value(gguf.text("tokenizer.chat_template"), std::string()));
  return data;
}

void ModelTexts::want(const StoredModel& model, OnText on_text) {
  const std::string fingerprint = model.info.fingerprint;
  if (const auto found = made_.find(fingerprint); found != made_.end()) return on_text(found->second);
  auto& waiting = waiting_[fingerprint];
  waiting.push_back(std::move(on_text));
  if (waiting.size() > 1) return;
  context_.aside.post([this, context = &context_, fingerprint, gguf = model.gguf] {
    auto text = make_text(*gguf);
    boost::asio::post(context->loop, [this, fingerprint, text = std::move(text)] {
      if (text) made_[fingerprint] = *text;
      const auto waiters = waiting_.extract(fingerprint);
      for (const OnText& waiter : waiters.mapped()) waiter(text);
    });
  });
}

}  // namespace flotilla
