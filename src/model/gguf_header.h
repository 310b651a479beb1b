// Walks a GGUF header byte by byte before ggml's reader sees it, and says how long it is.
//
// ggml 0.27 refuses most nonsense without aborting (tried on some sixty hostile headers), but it accepts booleans that
// are neither 0 nor 1, names that are empty or hold a zero byte, tensors of no elements or no dimensions, and it
// compares every key and name with every other: a header of a few million keys would keep it busy for hours. The walk
// refuses those, allocates nothing, and finds the header's end, which nothing in the file announces. Thread: any; pure.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace flotilla {

inline constexpr std::uint64_t gguf_keys_max = 4096;      // real files have 30 to 60
inline constexpr std::uint64_t gguf_tensors_max = 16384;  // per part; 1024 layers of 16
inline constexpr std::uint64_t gguf_alignment_max = 65536;

struct GgufHeaderLength {
  bool complete = false;           // false: `bytes` end before the header does
  std::uint64_t header_bytes = 0;  // where complete: up to the last tensor description
  std::uint64_t data_offset = 0;   // header_bytes, rounded up to the file's alignment
};

// `bytes` are the first bytes of a file. `name` is for messages. corrupt, unsupported (version), too_large.
Result<GgufHeaderLength> measure_gguf_header(std::span<const std::byte> bytes, std::string_view name);

}  // namespace flotilla
