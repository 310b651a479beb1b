// Vocabularies small enough to make anew, in which every byte has a token.
#pragma once

#include <format>
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace flotilla::fuzz {

inline void add_controls(VocabularyData& data) {
  for (const auto* text : {"<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<start_of_turn>", "[INST]"}) {
    data.tokens.emplace_back(text);
    data.kinds.push_back(static_cast<std::int32_t>(TokenKind::control));
    if (!data.scores.empty()) data.scores.push_back(0);
  }
  const auto first = static_cast<TokenId>(data.tokens.size()) - 7;
  data.special["bos"] = first;
  data.special["eos"] = first + 1;
}

// GPT-2 spells the bytes as printable characters: most as themselves, the others from U+0100 on.
inline VocabularyData byte_pairs(const std::string& pre) {
  VocabularyData data{.model = "gpt2", .pre = pre};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool is_plain = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    data.tokens.push_back(utf8_of(is_plain ? byte : next++));
  }
  for (const auto* merge : {"a b", "t h", "th e", "Ġ t", "Ġ Ġ", "1 2", "Ċ Ċ", "Ã ¤", "< |", "i m"}) {
    data.merges.emplace_back(merge);
    std::string joined = merge;
    joined.erase(joined.find(' '), 1);
    data.tokens.push_back(joined);
  }
  data.kinds.assign(data.tokens.size(), static_cast<std::int32_t>(TokenKind::normal));
  add_controls(data);
  return data;
}

inline VocabularyData sentence_pieces(bool adds_space) {
  VocabularyData data{.model = "llama"};
  const auto add = [&](std::string text, float score, TokenKind kind) {
    data.tokens.push_back(std::move(text));
    data.scores.push_back(score);
    data.kinds.push_back(static_cast<std::int32_t>(kind));
  };
  add("<unk>", 0, TokenKind::unknown);
  for (int byte = 0; byte < 256; ++byte) add(std::format("<0x{:02X}>", byte), 0, TokenKind::byte);
  float score = -1;
  for (const auto* text :
       {"▁", "▁▁", "a", "b", "ab", "▁a", "t", "h", "e", "th", "the", "▁the", "ä", "1", "<", "|", "\n"})
    add(text, score -= 1, TokenKind::normal);
  if (!adds_space) add("\t\t", 0, TokenKind::user_defined);  // behind it a space would be added as at the start
  data.special["unk"] = 0;
  data.flags["add_space_prefix"] = adds_space;
  add_controls(data);
  return data;
}

}  // namespace flotilla::fuzz
