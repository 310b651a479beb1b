// Tokens to activations: the rows of the embedding table, on the head.
//
// Rows lie in memory, with one exception. A tied output head is the same matrix, and where multiplying gains from
// rearranging it, no rows can be read out of that copy. Instead of holding the matrix twice, rows then come from the
// model's file, a kilobyte a token, out of the page cache that loading has just filled.
// Thread: the stage's.
#pragma once

#include <span>
#include <vector>

#include "engine/file_reader.h"
#include "engine/weights.h"
#include "wire/step.h"

namespace flotilla {

class EmbeddingTable {
 public:
  // The pointees outlive the table; `files` are the model's parts.
  EmbeddingTable(const Gguf& gguf, std::span<const std::filesystem::path> files, const HeadWeights& weights,
                 const ModelSpec& spec);

  // Where rows come from the file, opens it now: what is loaded stays what it is, whatever becomes of the path later.
  Status open();

  // Rows of the batch's tokens, scaled as the family wants: `rows` becomes [batch rows, embedding_length].
  // invalid_argument for a token outside the vocabulary; the file's errors where rows come from it.
  Status embed(const StepBatch& batch, std::vector<float>& rows);

 private:
  Result<const std::byte*> packed_row(TokenId token);

  const ModelSpec& spec_;
  const TensorPlace& place_;
  const std::byte* in_memory_;  // null: rows come from the file
  FileReader file_;
  Bytes row_;  // packed, as the file has it
};

}  // namespace flotilla
