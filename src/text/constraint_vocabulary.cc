#include "text/constraint_vocabulary.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "text/rust_answer.h"

namespace flotilla {

struct ConstraintVocabulary::Words {
  std::string bytes;  // of all tokens, one after the other
  std::vector<std::uint64_t> word_ends;
  std::vector<std::uint8_t> is_control;
  std::vector<TokenId> ends;

  void add(std::string_view word, bool control) {
    bytes += word;
    word_ends.push_back(bytes.size());
    is_control.push_back(control ? 1 : 0);
  }
};

Result<std::shared_ptr<const ConstraintVocabulary>> ConstraintVocabulary::make(const Words& words) {
  if (words.ends.empty())
    return fail(
        Code::unsupported,
        "[text] expected a model with a token that ends an answer but its file names none; ask without a schema");
  const std::vector<std::uint32_t> ends(words.ends.begin(), words.ends.end());
  RustAnswer answer;
  auto* made = flotilla_vocabulary_create(words.bytes.data(), words.word_ends.data(), words.is_control.data(),
                                          words.word_ends.size(), ends.data(), ends.size(), &answer.raw);
  if (made == nullptr) return fail(Code::internal, "[text] the vocabulary for constraints failed: {}", answer.text());
  return std::shared_ptr<const ConstraintVocabulary>(
      new ConstraintVocabulary(made, static_cast<std::uint32_t>(words.word_ends.size()), words.ends));
}

Result<std::shared_ptr<const ConstraintVocabulary>> ConstraintVocabulary::of(const Tokenizer& tokenizer) {
  Words words;
  words.ends = tokenizer.end_of_generation();
  for (TokenId token = 0; std::cmp_less(token, tokenizer.size()); ++token) {
    const TokenKind kind = tokenizer.kind(token);
    const bool control = kind == TokenKind::control || kind == TokenKind::unknown;
    words.add(kind == TokenKind::unused ? std::string() : tokenizer.piece(token, true), control);
  }
  return make(words);
}

Result<std::shared_ptr<const ConstraintVocabulary>> ConstraintVocabulary::of_bytes(const Tokenizer& tokenizer) {
  Words words;
  for (int byte = 0; byte < 256; ++byte) words.add(std::string(1, static_cast<char>(byte)), false);
  for (const TokenId end : tokenizer.end_of_generation()) {
    words.ends.push_back(static_cast<TokenId>(words.word_ends.size()));
    words.add(tokenizer.piece(end, true), true);
  }
  for (const std::string& text : tokenizer.reserved_texts())
    if (const TokenId token = tokenizer.find(text); !std::ranges::contains(tokenizer.end_of_generation(), token))
      words.add(text, true);
  return make(words);
}

ConstraintVocabulary::~ConstraintVocabulary() { flotilla_vocabulary_free(made_); }

}  // namespace flotilla
