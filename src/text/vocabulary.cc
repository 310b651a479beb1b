// Files get the special tokens wrong often enough that the field settled on finding some by their text: the lists below
// are what llama.cpp looks for, so that a model stops where people are used to see it stop.
#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/limits.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

constexpr std::array<std::string_view, 22> end_texts = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
};

// Fill-in-the-middle: a pad, repository or separator token ends an answer; prefix, suffix and middle are merely
// control.
struct FimRole {
  std::string_view role;
  bool ends_generation;
  std::array<std::string_view, 8> texts;
};
constexpr std::array<FimRole, 6> fim_roles = {{
    {"fim_pad", true, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {"fim_rep", true, {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {"fim_sep", true, {"<|file_sep|>"}},
    {"fim_pre",
     false,
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>",
      "<|prefix|>"}},
    {"fim_suf",
     false,
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>",
      "<|suffix|>"}},
    {"fim_mid",
     false,
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>",
      "<|middle|>"}},
}};

// gpt-oss: parts of an answer that a client must see.
constexpr std::array<std::string_view, 4> visible_texts = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

}  // namespace

Result<Vocabulary> Vocabulary::create(VocabularyData data) {
  Vocabulary vocabulary;
  vocabulary.data_ = std::move(data);
  FLOTILLA_TRY_STATUS(vocabulary.index());
  FLOTILLA_TRY_STATUS(vocabulary.read_kinds());
  vocabulary.set_defaults();
  FLOTILLA_TRY_STATUS(vocabulary.check_special());
  vocabulary.settle_roles();
  FLOTILLA_TRY_STATUS(vocabulary.check_special_texts());
  vocabulary.find_byte_tokens();
  return vocabulary;
}

Status Vocabulary::index() {
  const std::size_t count = data_.tokens.size();
  if (count == 0) return fail(Code::corrupt, "[text] expected a vocabulary but the file lists no tokens");
  if (count > limits::vocabulary_max) {
    return fail(Code::too_large, "[text] expected at most {} tokens but got {}", limits::vocabulary_max, count);
  }
  ids_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (data_.tokens[i].empty()) data_.tokens[i] = std::format("[EMPTY_{}]", i);
    const auto [known, added] = ids_.emplace(data_.tokens[i], static_cast<TokenId>(i));
    if (!added) {
      return fail(Code::corrupt, "[text] expected tokens that differ but {} and {} are both \"{}\"", known->second, i,
                  data_.tokens[i]);
    }
  }
  return {};
}

Status Vocabulary::read_kinds() {
  const std::size_t count = data_.tokens.size();
  if (!data_.scores.empty() && data_.scores.size() != count) {
    return fail(Code::corrupt, "[text] expected {} token scores but got {}", count, data_.scores.size());
  }
  if (std::ranges::any_of(data_.scores, [](float score) { return std::isnan(score); })) {
    return fail(Code::corrupt, "[text] expected token scores that are numbers but got NaN");
  }
  if (!data_.kinds.empty() && data_.kinds.size() != count) {
    return fail(Code::corrupt, "[text] expected {} token types but got {}", count, data_.kinds.size());
  }
  kinds_.assign(count, TokenKind::normal);
  for (std::size_t i = 0; i < data_.kinds.size(); ++i) {
    const std::int32_t kind = data_.kinds[i];
    if (kind < 1 || kind > 6) {
      return fail(Code::corrupt, "[text] expected a token type from 1 to 6 but token {} has {}", i, kind);
    }
    kinds_[i] = static_cast<TokenKind>(kind);
  }
  return {};
}

// Old SentencePiece files name no special tokens: there it is always the same three. BERT's begin and end with tokens
// that are called otherwise.
void Vocabulary::set_defaults() {
  if (data_.model == "bert") {
    for (const auto& [role, other] : {std::pair("bos", "cls"), std::pair("eos", "sep")})
      if (special(other) >= 0) data_.special[role] = special(other);
  }
  if (data_.model != "llama") return;
  const std::pair<const char*, TokenId> defaults[] = {{"unk", 0}, {"bos", 1}, {"eos", 2}};
  for (const auto& [role, token] : defaults) {
    if (special(role) < 0 && contains(token)) data_.special.emplace(role, token);
  }
}

Status Vocabulary::check_special() {
  for (const auto& [role, token] : data_.special) {
    if (token != -1 && !contains(token)) {
      return fail(Code::corrupt, "[text] expected the {} token to be below {} but got {}", role, size(), token);
    }
  }
  return {};
}

void Vocabulary::settle_roles() {
  std::set<TokenId> ends;
  const auto make_control = [&](TokenId token) { kinds_[static_cast<std::size_t>(token)] = TokenKind::control; };
  for (const auto& [role, ends_generation, texts] : fim_roles) {
    TokenId token = special(role);
    for (const auto& text : texts) {
      if (token >= 0 || text.empty()) break;
      if ((token = find(text)) >= 0) make_control(token);
    }
    if (token >= 0 && ends_generation) ends.insert(token);
  }
  for (const auto text : end_texts) {
    const TokenId token = find(text);
    if (token < 0) continue;
    ends.insert(token);
    make_control(token);
  }
  for (const auto text : visible_texts) {
    if (const TokenId token = find(text); token >= 0) kinds_[static_cast<std::size_t>(token)] = TokenKind::user_defined;
  }
  for (const auto role : {"eos", "eot", "eom"}) {
    if (const TokenId token = special(role); token >= 0) ends.insert(token);
  }
  // In these two dialects <|end|> closes a part of an answer, not the answer.
  const bool call = find("<|call|>") >= 0 || find("<|calls|>") >= 0;
  const TokenId end = find("<|end|>");
  if (end >= 0 && call && (find("<|return|>") >= 0 || find("<|flush|>") >= 0)) {
    ends.erase(end);
    kinds_[static_cast<std::size_t>(end)] = TokenKind::user_defined;
  }
  // Here </s> is the strike-through tag of HTML.
  if (const TokenId strike = find("</s>"); strike >= 0 && find("<|tool_response>") >= 0) {
    ends.erase(strike);
    kinds_[static_cast<std::size_t>(strike)] = TokenKind::normal;
  }
  end_of_generation_.assign(ends.begin(), ends.end());
}

void Vocabulary::find_byte_tokens() {
  for (unsigned byte = 0; byte < 256; ++byte) bytes_[byte] = find(std::format("<0x{:02X}>", byte));
}

// A control token that is half a character would be found in the middle of one.
Status Vocabulary::check_special_texts() const {
  for (TokenId token = 0; contains(token); ++token) {
    const TokenKind kind = this->kind(token);
    const bool reserved = kind == TokenKind::control || kind == TokenKind::unknown;
    if (!reserved && kind != TokenKind::user_defined) continue;
    const std::string& text = this->text(token);
    if (text.size() > special_token_bytes_max) {
      return fail(Code::corrupt,
                  "[text] expected a special token's text of at most {} bytes but token {} has {}; try another file of "
                  "this model",
                  special_token_bytes_max, token, text.size());
    }
    if (reserved && !is_valid_utf8(text)) {
      return fail(Code::corrupt,
                  "[text] expected a control token's text in UTF-8 but token {} has other bytes; try another file of "
                  "this model",
                  token);
    }
  }
  return {};
}

TokenId Vocabulary::find(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? -1 : found->second;
}

TokenId Vocabulary::find_ordinary(std::string_view text) const {
  const TokenId token = find(text);
  if (token < 0) return -1;
  const TokenKind kind = this->kind(token);
  const bool reserved = kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::byte;
  return reserved ? -1 : token;
}

TokenId Vocabulary::special(std::string_view role) const {
  const auto found = data_.special.find(std::string(role));
  return found == data_.special.end() ? -1 : found->second;
}

bool Vocabulary::flag(std::string_view name, bool otherwise) const {
  const auto found = data_.flags.find(std::string(name));
  return found == data_.flags.end() ? otherwise : found->second;
}

}  // namespace flotilla
