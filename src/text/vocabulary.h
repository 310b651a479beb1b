// A VocabularyData checked once: every id in range, texts unique, kinds repaired, the roles of special tokens settled.
// Thread: immutable after construction; any.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace flotilla {

// Text of a control, unknown or user-defined token. The longest published ones, runs of 31 spaces spelled ▁, have 93;
// each length that occurs costs a pass over every prompt (special_tokens.cc, guard.cc).
inline constexpr std::size_t special_token_bytes_max = 256;

class Vocabulary {
 public:
  // corrupt where counts disagree, a text comes twice, an id or a kind is out of range, a special token's text is too
  // long or a control token's is no UTF-8; too_large beyond vocabulary_max.
  static Result<Vocabulary> create(VocabularyData data);
  Vocabulary(Vocabulary&&) = default;  // the index below points into texts, which moving does not touch
  Vocabulary& operator=(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  std::uint32_t size() const { return static_cast<std::uint32_t>(data_.tokens.size()); }
  const std::string& text(TokenId token) const { return data_.tokens[static_cast<std::size_t>(token)]; }
  TokenKind kind(TokenId token) const { return kinds_[static_cast<std::size_t>(token)]; }
  float score(TokenId token) const { return data_.scores.empty() ? 0 : data_.scores[static_cast<std::size_t>(token)]; }
  bool contains(TokenId token) const { return token >= 0 && static_cast<std::uint32_t>(token) < size(); }

  TokenId find(std::string_view text) const;  // -1: none
  // The same, but only what ordinary text may become: no control, unknown or byte token, however it is spelled.
  TokenId find_ordinary(std::string_view text) const;
  TokenId byte_token(unsigned char byte) const { return bytes_[byte]; }  // "<0x0A>"; -1: none

  TokenId special(std::string_view role) const;  // "bos", "eos", "unk", ...; -1: none
  bool flag(std::string_view name, bool otherwise) const;
  const std::vector<TokenId>& end_of_generation() const { return end_of_generation_; }
  const VocabularyData& data() const { return data_; }

 private:
  Vocabulary() = default;
  Status index();
  Status read_kinds();
  Status check_special();
  Status check_special_texts() const;
  void set_defaults();
  void settle_roles();
  void find_byte_tokens();

  VocabularyData data_;
  std::vector<TokenKind> kinds_;
  std::unordered_map<std::string_view, TokenId> ids_;
  std::vector<TokenId> bytes_ = std::vector<TokenId>(256, -1);
  std::vector<TokenId> end_of_generation_;
};

}  // namespace flotilla
