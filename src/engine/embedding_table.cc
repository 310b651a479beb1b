#include "engine/embedding_table.h"

#include <ggml.h>

#include <cstring>

#include "base/check.h"

namespace flotilla {
namespace {

const TensorPlace& place_of_table(const Gguf& gguf) {
  const TensorPlace* place = gguf.find("token_embd.weight");
  check(place != nullptr, "read_spec promised an embedding table");
  return *place;
}

}  // namespace

EmbeddingTable::EmbeddingTable(const Gguf& gguf, std::span<const std::filesystem::path> files,
                               const HeadWeights& weights, const ModelSpec& spec)
    : spec_(spec),
      place_(place_of_table(gguf)),
      in_memory_(weights.embedding ? static_cast<const std::byte*>(weights.embedding->data) : nullptr),
      file_(files),
      row_(ggml_row_size(static_cast<ggml_type>(place_.type), spec.embedding_length)) {}

Status EmbeddingTable::open() {
  if (const auto row = packed_row(0); !row) return fail(row.error());
  return {};
}

Status EmbeddingTable::embed(const StepBatch& batch, std::vector<float>& rows) {
  const auto type = static_cast<ggml_type>(place_.type);
  const auto expand = ggml_get_type_traits(type)->to_float;  // null for F32 itself
  rows.resize(batch.rows.size() * spec_.embedding_length);
  float* row = rows.data();
  for (const StepRow& step_row : batch.rows) {
    FLOTILLA_TRY(const std::byte* packed, packed_row(step_row.token));
    if (type == GGML_TYPE_F32)
      std::memcpy(row, packed, row_.size());
    else
      expand(packed, row, spec_.embedding_length);
    row += spec_.embedding_length;
  }
  if (spec_.embedding_scale != 1)
    for (float& value : rows) value *= spec_.embedding_scale;
  return {};
}

Result<const std::byte*> EmbeddingTable::packed_row(TokenId token) {
  if (token < 0 || static_cast<std::uint32_t>(token) >= spec_.vocabulary)
    return fail(Code::invalid_argument, "[engine] expected a token below {} but got {}", spec_.vocabulary, token);
  const std::size_t offset = static_cast<std::size_t>(token) * row_.size();
  if (in_memory_) return in_memory_ + offset;
  FLOTILLA_TRY_STATUS(file_.read(place_.file_index, place_.offset + offset, row_, place_.name));
  return row_.data();
}

}  // namespace flotilla
