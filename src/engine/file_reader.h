// Ranges of the model's files, read with pread: no mapping that a truncated file could turn into a fault.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flotilla {

class FileReader {
 public:
  explicit FileReader(std::span<const std::filesystem::path> files) : files_(files.begin(), files.end()) {}
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  // Fills `target` from `offset` of part `file_index`. `what` (a tensor) is for messages. not_found or permission where
  // the file cannot be opened, corrupt where it ends too early.
  Status read(std::uint32_t file_index, std::uint64_t offset, std::span<std::byte> target, std::string_view what);

 private:
  Status open(std::uint32_t file_index);
  void close();

  const std::vector<std::filesystem::path> files_;
  std::uint32_t open_index_ = 0;
  int descriptor_ = -1;
};

}  // namespace flotilla
