// WordPiece ("bert", uncased), as BERT's published tokenizer has it: control characters go, capitals and accents too,
// words end at spaces, punctuation and ideographs; of each word the longest beginning that the vocabulary has, and so
// on. In the file a piece that begins a word is spelled with ▁ before it, one that goes on in it as it is.
#pragma once

#include <memory>

#include "text/segmenter.h"
#include "text/vocabulary.h"

namespace flotilla {

class WordPiece final : public Segmenter {
 public:
  // corrupt where the file has no token for what is unknown. `vocabulary` outlives this.
  static Result<std::unique_ptr<WordPiece>> create(const Vocabulary& vocabulary);

  // A word that the vocabulary cannot spell, or of more than 100 characters, is one unknown token.
  void encode(std::string_view text, bool at_start, std::vector<TokenId>& out) const override;
  std::string decode(TokenId token) const override;

 private:
  explicit WordPiece(const Vocabulary& vocabulary) : vocabulary_(vocabulary), unknown_(vocabulary.special("unk")) {}
  struct Piece {
    TokenId token = -1;
    std::size_t bytes = 0;
  };
  Piece longest(std::string_view rest, std::size_t more_than) const;
  void spell(std::string_view word, std::size_t characters, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary_;
  const TokenId unknown_;
};

}  // namespace flotilla
