// Decides whether a GGUF header can be believed, and answers questions about it.
// In: a header's bytes (of a file, or from a peer).  Out: typed values and tensor places, all checked.  Owns: the
// parsed header.  Thread: immutable after construction; any number may read. Never: aborts, allocates for a count the
// bytes cannot hold, names a byte outside the file.
//
// Split files (X-00001-of-000NN.gguf) are one Gguf: metadata from the first part, tensors from all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace flotilla {

struct TensorPlace {
  std::string name;                     // "blk.7.attn_q.weight"
  int type = 0;                         // ggml_type
  std::vector<std::int64_t> shape;      // 1 to 4 dimensions, ggml order: [columns, rows, ...]
  std::uint32_t file_index = 0;         // which split part
  std::uint64_t offset = 0, bytes = 0;  // absolute, in that file; offset + bytes <= its size
};

// One part's header as it came, and the size of the file it came from.
struct GgufPart {
  Bytes header;  // up to the last tensor description; what follows is padding and may be missing
  std::uint64_t file_bytes = 0;
};

class Gguf {
 public:
  // The path of the file, or of the first part of a split file (the others are found beside it).
  // not_found, corrupt (truncated, lying, foreign: the message says where and what), unsupported (version).
  static Result<std::shared_ptr<const Gguf>> open(const std::filesystem::path& path);
  // The same for files whose names say nothing (parts taken from a peer, in order): the model is called `name`.
  static Result<std::shared_ptr<const Gguf>> open_parts(std::vector<std::filesystem::path> files, std::string name);
  static Result<std::shared_ptr<const Gguf>> parse(std::span<const GgufPart> parts, std::string name);

  ~Gguf();

  // Absent and wrongly typed are different: not_found and corrupt.
  Result<std::string> text(std::string_view key) const;
  Result<std::uint64_t> number(std::string_view key) const;  // any integer type, not negative
  Result<double> real(std::string_view key) const;           // f32 or f64, finite; integers accepted
  Result<bool> flag(std::string_view key) const;
  Result<std::vector<std::string>> texts(std::string_view key) const;
  Result<std::vector<std::int64_t>> numbers(std::string_view key) const;  // a scalar gives one element
  Result<std::vector<float>> reals(std::string_view key) const;
  Result<std::vector<bool>> flags(std::string_view key) const;
  bool has(std::string_view key) const;

  const std::string& name() const;          // stem of the file, without -00001-of-000NN
  const std::string& architecture() const;  // general.architecture
  std::span<const TensorPlace> tensors() const;
  const TensorPlace* find(std::string_view name) const;
  const std::vector<std::filesystem::path>& files() const;  // empty where parsed from bytes
  const std::vector<GgufPart>& parts() const;               // headers, as handed to peers
  // 64 hex digits, the same on every machine for the same file whatever its name: SHA-256 over "flotilla gguf 1" and,
  // for each part, u64 header length, u64 file size (both little-endian) and the header.
  const std::string& fingerprint() const;

 private:
  struct State;
  explicit Gguf(std::unique_ptr<State> state);
  static Result<std::unique_ptr<State>> read(std::span<const GgufPart> parts, std::string name);
  static Status index(State& state);
  std::unique_ptr<State> state_;
};

// Paths of all parts given the first (or only) one; the name of a split file is X-00001-of-000NN.gguf.
Result<std::vector<std::filesystem::path>> split_parts(const std::filesystem::path& first);

}  // namespace flotilla
