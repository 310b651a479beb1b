// Decides how text becomes tokens and back: BPE, SentencePiece and WordPiece vocabularies read from GGUF metadata.
// In: metadata, text.  Out: token ids, pieces.  Owns: the vocabulary.  Thread: immutable after construction; any.
// Never: parses a special token in text that came from a user.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace flotilla {

enum class TokenKind : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

// The vocabulary as it stands in a file (app reads it out of a Gguf; text knows no file format).
struct VocabularyData {
  std::string model;  // tokenizer.ggml.model: "gpt2", "llama" or "bert"
  std::string pre;    // tokenizer.ggml.pre: "smollm", "llama-bpe", "qwen2", ...
  std::vector<std::string> tokens;
  std::vector<float> scores;        // SentencePiece
  std::vector<std::int32_t> kinds;  // tokenizer.ggml.token_type
  std::vector<std::string> merges;  // BPE, "left right"
  std::map<std::string, TokenId>
      special;                        // "bos", "eos", "eot", "eom", "unk", "pad", "fim_pad", ... as the file names them
  std::map<std::string, bool> flags;  // "add_bos", "add_eos", "add_space_prefix" where the file has them
  std::string chat_template;          // empty: none
};

// Text with the places that may hold special tokens told apart: template text is trusted, a user's is not.
struct TextPiece {
  std::string text;
  bool trusted = false;  // true: special tokens in it are parsed
};

class Tokenizer {
 public:
  // unsupported for a vocabulary model or pre-tokenizer we do not know (named, with what we know); corrupt for a
  // vocabulary that contradicts itself.
  static Result<std::shared_ptr<const Tokenizer>> create(VocabularyData data);
  virtual ~Tokenizer() = default;

  // add_special: begin with BOS (and end with EOS) where the file asks for it. too_large never: length is the caller's.
  // The pieces are one text: where one ends and the next begins matters to special tokens only, which never span two.
  // Bytes that are no UTF-8 are read as U+FFFD (byte-level BPE), become byte tokens (SentencePiece) or go (WordPiece).
  virtual std::vector<TokenId> encode(std::span<const TextPiece> pieces, bool add_special) const = 0;
  std::vector<TokenId> encode(std::string_view text, bool add_special, bool parse_special) const;

  // Bytes of one token as they appear in text (may be part of a character). Control tokens give nothing unless asked
  // for. White space is given back as it was: no clean-up of spaces before punctuation. Nothing for a token out of
  // range.
  virtual std::string piece(TokenId token, bool show_special) const = 0;
  virtual std::string decode(std::span<const TokenId> tokens, bool show_special) const = 0;

  virtual std::uint32_t size() const = 0;
  virtual TokenId bos() const = 0;  // -1: none
  virtual TokenId eos() const = 0;
  virtual bool adds_bos() const = 0;
  // SentencePiece: the first piece of a text loses the space that encode() put before it.
  virtual bool strips_leading_space() const = 0;
  virtual const std::vector<TokenId>& end_of_generation() const = 0;  // sorted
  virtual const std::string& chat_template() const = 0;
  virtual TokenKind kind(TokenId token) const = 0;
  virtual TokenId find(std::string_view token_text) const = 0;  // -1: none
  // The longest token's text: n bytes are at least n / token_bytes_max() tokens, but for WordPiece.
  virtual std::size_t token_bytes_max() const = 0;
  // Texts of all control and unknown tokens: what a user's text must never become.
  virtual const std::vector<std::string>& reserved_texts() const = 0;
};

}  // namespace flotilla
