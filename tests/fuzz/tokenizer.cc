// Text of users through the tokenizers and back. The first byte chooses the tokenizer; up to the first zero byte stands
// a stop string, behind it the text.
#include <algorithm>
#include <array>

#include "fuzz.h"
#include "small_vocabulary.h"
#include "text/detokenizer.h"
#include "text/pretokenizer.h"

namespace flotilla::fuzz {
namespace {

// One name for each row of patterns.
constexpr std::array pretokenizers = {
    "llama-bpe", "dbrx",        "qwen2",          "qwen35",  "ufakzeka", "gpt-2",  "smollm",    "gpt-4o",     "tekken",
    "tiny_aya",  "deepseek-v3", "spark2_5",       "falcon",  "bloom",    "viking", "kimi-k2",   "seed-coder", "laguna",
    "minicpm5",  "exaone-moe",  "deepseek-coder", "default", "jais-2",   "youtu",  "chameleon", "bailingmoe"};

struct Subject {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<Pretokenizer> pretokenizer;  // none: SentencePiece
  bool adds_space = false;
};

const std::vector<Subject>& subjects() {
  static const auto made = [] {
    std::vector<Subject> list;
    for (const auto* pre : pretokenizers)
      list.push_back({.tokenizer = Tokenizer::create(byte_pairs(pre)).value(),
                      .pretokenizer = std::make_unique<Pretokenizer>(Pretokenizer::create(pre).value())});
    for (const bool adds_space : {false, true})
      list.push_back({.tokenizer = Tokenizer::create(sentence_pieces(adds_space)).value(), .adds_space = adds_space});
    return list;
  }();
  return made;
}

// What a text becomes: byte-level BPE reads bytes that are no UTF-8 as U+FFFD; SentencePiece has one character for
// spaces and for itself, and where malformed bytes stand before it gives it back as itself.
std::string as_read(const Subject& subject, std::string_view text) {
  if (subject.pretokenizer != nullptr) return valid_utf8(text);
  std::string read(text);
  for (std::size_t at; (at = read.find("▁")) != std::string::npos;) read.replace(at, std::string_view("▁").size(), " ");
  return read;
}

void check_split(const Pretokenizer& pretokenizer, std::string_view text) {
  std::size_t at = 0;
  for (const std::string_view word : pretokenizer.split(text)) {
    claim(!word.empty() && word.data() == text.data() + at, "words follow each other");
    at += word.size();
  }
  claim(at == text.size(), "words cover the text");
}

// As an answer shows malformed bytes: one U+FFFD for each part that could have begun a character.
std::string as_shown(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    shown += step.valid ? text.substr(0, step.bytes) : replacement_character;
    text.remove_prefix(step.bytes);
  }
  return shown;
}

void check_stop(const Subject& subject, const std::vector<TokenId>& tokens, const std::string& whole,
                const std::string& stop) {
  Detokenizer detokenizer(subject.tokenizer, {stop});
  std::string out;
  for (const TokenId token : tokens) {
    out += detokenizer.add(token);
    if (detokenizer.stopped()) break;
  }
  if (!detokenizer.stopped()) out += detokenizer.finish();
  const auto expected = as_shown(whole);
  if (stop.empty()) return claim(out == expected, "pieces together are the text");
  claim(!out.contains(stop), "a stop string is never given out");
  claim(expected.starts_with(out), "what is given out is the beginning of the text");
  if (is_valid_utf8(stop))
    claim(out == expected.substr(0, expected.find(stop)), "and all of it before the stop string");
}

void run(const Subject& subject, const std::string& stop, std::string_view text) {
  const auto& tokenizer = *subject.tokenizer;
  const auto tokens = tokenizer.encode(text, false, false);
  claim(tokens.size() <= 3 * text.size() + 3, "a byte is a token at most, a replaced one three");
  for (const TokenId token : tokens) {
    claim(token >= 0 && std::cmp_less(token, tokenizer.size()), "a token is of the vocabulary");
    claim(tokenizer.kind(token) != TokenKind::control, "a user's text holds no control token");
  }
  std::string whole = tokenizer.decode(tokens, true);
  claim(as_read(subject, whole) == as_read(subject, text), "text comes back");
  if (subject.pretokenizer) check_split(*subject.pretokenizer, whole);
  if (subject.adds_space && !tokens.empty()) whole.insert(0, 1, ' ');
  check_stop(subject, tokens, whole, stop);
  const auto trusted = tokenizer.encode(text, true, true);
  claim(trusted.empty() || tokenizer.decode(trusted, true).size() > 0 || text.empty(), "trusted text has tokens");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla::fuzz;
  Input input(data, size);
  const auto& subject = subjects()[input.number<std::uint8_t>() % subjects().size()];
  const std::string stop(input.text_until('\0'));
  run(subject, stop, input.rest_text());
  return 0;
}
