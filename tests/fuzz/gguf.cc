// The header of a GGUF file, from a download or from a peer.
#include <cmath>

#include "app/model_vocabulary.h"
#include "base/limits.h"
#include "fuzz.h"
#include "model/gguf.h"
#include "model/gguf_header.h"
#include "model/spec.h"
#include "text/tokenizer.h"

namespace flotilla::fuzz {
namespace {

void check_places(const Gguf& gguf, std::uint64_t file_bytes) {
  for (const TensorPlace& tensor : gguf.tensors()) {
    claim(tensor.bytes <= file_bytes && tensor.offset <= file_bytes - tensor.bytes, "a tensor lies within its file");
    claim(tensor.offset >= gguf.parts().front().header.size(), "a tensor lies behind the header");
    claim(!tensor.shape.empty() && tensor.shape.size() <= 4, "a tensor has 1 to 4 dimensions");
    for (const std::int64_t length : tensor.shape) claim(length > 0, "a dimension is positive");
    claim(gguf.find(tensor.name) == &tensor, "a tensor is found by its name");
  }
}

// Every question about every key that decides something, of whatever type the file has it.
void ask(const Gguf& gguf) {
  for (const auto* key : {"general.architecture", "general.alignment", "split.count", "tokenizer.ggml.tokens",
                          "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "llama.rope.freq_base", "any"}) {
    const bool known = gguf.has(key);
    claim(known || !gguf.text(key), "an absent key has no text");
    const auto number = gguf.number(key);
    const auto real = gguf.real(key);
    claim(!real || std::isfinite(*real), "a real number is finite");
    claim(!number || real, "a whole number is a number");
    const auto reals = gguf.reals(key);
    for (std::size_t i = 0; reals && i < reals->size(); ++i) claim(std::isfinite((*reals)[i]), "all reals are finite");
    const bool asked = gguf.flag(key) || gguf.texts(key) || gguf.numbers(key) || gguf.flags(key);
    claim(known || !asked, "an absent key has no values");
  }
}

void check_model(const Gguf& gguf, std::uint64_t file_bytes) {
  const auto spec = read_spec(gguf);
  if (!spec) return;
  claim(!spec->blocks.empty() && spec->blocks.size() <= limits::layers_max, "layers are within their limit");
  claim(spec->vocabulary <= limits::vocabulary_max, "the vocabulary is within its limit");
  claim(spec->embedding_length <= limits::embedding_length_max, "the width is within its limit");
  for (const BlockSpec& block : spec->blocks) {
    claim(block.kv_heads > 0 && block.heads % block.kv_heads == 0, "heads share evenly");
    claim(std::isfinite(block.query_scale) && std::isfinite(block.attention_scale), "scales are finite");
  }
  const auto shape = read_shape(gguf);
  claim(shape.has_value(), "a model that is understood has a shape");
  const LayerRange layers{0, static_cast<std::uint32_t>(spec->blocks.size())};
  for (const FileRange& range : stage_ranges(gguf, layers, true))
    claim(range.bytes <= file_bytes && range.offset <= file_bytes - range.bytes,
          "a stage's ranges lie within the file");
  stage_need(*shape, layers, true, limits::context_tokens_max, limits::sequences_max);
}

void read(std::span<const std::byte> header, std::uint64_t file_bytes) {
  const GgufPart part{.header = Bytes(header.begin(), header.end()), .file_bytes = file_bytes};
  const auto gguf = Gguf::parse(std::span(&part, 1), "fuzz");
  if (!gguf) return claim(gguf.error().message.starts_with("[model] "), "an error says whose it is");
  check_places(**gguf, file_bytes);
  const auto again = Gguf::parse((*gguf)->parts(), "again");
  claim(again && (*again)->fingerprint() == (*gguf)->fingerprint(), "what is handed to peers is the same file");
  ask(**gguf);
  check_model(**gguf, file_bytes);
  auto vocabulary = read_vocabulary(**gguf);
  if (!vocabulary) return;
  if (const auto tokenizer = Tokenizer::create(*std::move(vocabulary))) (*tokenizer)->encode("a\xff <s>", true, true);
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto bytes = fuzz::bytes_of_input(data, size);
  const auto length = measure_gguf_header(bytes, "fuzz");
  if (length && length->complete) {
    fuzz::claim(length->header_bytes <= size && length->data_offset >= length->header_bytes, "a header has an end");
    const auto shorter = measure_gguf_header(bytes.first(length->header_bytes - 1), "fuzz");
    fuzz::claim(shorter && !shorter->complete, "a header that lacks a byte is not complete");
  }
  fuzz::read(bytes, size);
  fuzz::read(bytes, std::uint64_t{1} << 40);  // so that tensors need not be in the input
  return 0;
}
