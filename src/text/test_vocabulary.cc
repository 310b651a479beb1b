#include "text/test_vocabulary.h"

#include <gguf.h>
#include <gtest/gtest.h>

#include <map>

namespace flotilla {
namespace {

using GgufPointer = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

std::int64_t key_of(const gguf_context* file, const std::string& name) {
  return gguf_find_key(file, ("tokenizer." + name).c_str());
}

std::string text_of(const gguf_context* file, const std::string& name) {
  const auto key = key_of(file, name);
  return key < 0 ? "" : gguf_get_val_str(file, key);
}

std::vector<std::string> texts_of(const gguf_context* file, const std::string& name) {
  std::vector<std::string> texts;
  const auto key = key_of(file, name);
  for (std::size_t i = 0; key >= 0 && i < gguf_get_arr_n(file, key); ++i) {
    texts.emplace_back(gguf_get_arr_str(file, key, i));
  }
  return texts;
}

template <class T>
std::vector<T> numbers_of(const gguf_context* file, const std::string& name) {
  const auto key = key_of(file, name);
  if (key < 0) return {};
  const auto* numbers = static_cast<const T*>(gguf_get_arr_data(file, key));
  return {numbers, numbers + gguf_get_arr_n(file, key)};
}

}  // namespace

VocabularyData read_test_vocabulary(const std::string& file) {
  const std::string path = std::string(FLOTILLA_SOURCE_DIR "/.cache/models/") + file;
  const GgufPointer gguf(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
  VocabularyData data;
  if (gguf == nullptr) {
    ADD_FAILURE() << "expected the model " << path << "; run scripts/setup, which fetches it";
    return data;
  }
  data.model = text_of(gguf.get(), "ggml.model");
  data.pre = text_of(gguf.get(), "ggml.pre");
  data.chat_template = text_of(gguf.get(), "chat_template");
  data.tokens = texts_of(gguf.get(), "ggml.tokens");
  data.merges = texts_of(gguf.get(), "ggml.merges");
  data.scores = numbers_of<float>(gguf.get(), "ggml.scores");
  data.kinds = numbers_of<std::int32_t>(gguf.get(), "ggml.token_type");
  const std::map<std::string, std::string> roles = {{"bos", "bos"},      {"eos", "eos"},     {"eot", "eot"},
                                                    {"unk", "unknown"},  {"pad", "padding"}, {"cls", "cls"},
                                                    {"sep", "seperator"}};
  for (const auto& [role, name] : roles) {
    const auto key = key_of(gguf.get(), "ggml." + name + "_token_id");
    if (key >= 0) data.special[role] = static_cast<TokenId>(gguf_get_val_u32(gguf.get(), key));
  }
  const std::map<std::string, std::string> flags = {
      {"add_bos", "add_bos_token"}, {"add_eos", "add_eos_token"}, {"add_space_prefix", "add_space_prefix"}};
  for (const auto& [flag, name] : flags) {
    const auto key = key_of(gguf.get(), "ggml." + name);
    if (key >= 0) data.flags[flag] = gguf_get_val_bool(gguf.get(), key);
  }
  return data;
}

std::shared_ptr<const Tokenizer> test_tokenizer(const std::string& file) {
  static std::map<std::string, std::shared_ptr<const Tokenizer>> made;
  auto& tokenizer = made[file];
  if (tokenizer == nullptr) {
    auto result = Tokenizer::create(read_test_vocabulary(file));
    if (result) {
      tokenizer = *result;
    } else {
      ADD_FAILURE() << result.error().message;
    }
  }
  return tokenizer;
}

VocabularyData small_bpe(const std::string& pre, const std::vector<std::string>& merges,
                         const std::vector<std::string>& special) {
  VocabularyData data;
  data.model = "gpt2";
  data.pre = pre;
  // The 256 bytes in GPT-2's spelling: printable ones as themselves, the others from U+0100 on.
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool plain = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const char32_t code = plain ? byte : next++;
    std::string text;
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else {
      text += static_cast<char>(0xC0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
    data.tokens.push_back(text);
  }
  for (std::string merge : merges) {
    data.merges.push_back(merge);
    merge.erase(merge.find(' ', 1), 1);
    data.tokens.push_back(merge);
  }
  data.kinds.assign(data.tokens.size(), static_cast<std::int32_t>(TokenKind::normal));
  for (const std::string& text : special) {
    data.tokens.push_back(text);
    data.kinds.push_back(static_cast<std::int32_t>(TokenKind::control));
  }
  return data;
}

}  // namespace flotilla
