// The few calls to the disk that the hub makes. Their errors are those of base/replace_file.h: they say which folder
// and what to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace flotilla {

// An open file that closes itself.
class DiskFile {
 public:
  static Result<DiskFile> open_to_read(const std::filesystem::path& path);
  static Result<DiskFile> open_to_write(const std::filesystem::path& path);  // made where it is not there
  DiskFile(DiskFile&& other) noexcept;
  DiskFile& operator=(DiskFile&& other) noexcept;
  ~DiskFile();

  Status read(std::uint64_t offset,
              std::span<std::byte> out) const;  // all of it, or corrupt where the file ends before
  Status write(std::uint64_t offset, std::span<const std::byte> bytes);
  Status set_size(std::uint64_t bytes);  // grows without taking space
  Status sync();                         // returns once the bytes are on the disk

 private:
  DiskFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::filesystem::path path_;
};

std::uint64_t bytes_of_all(const std::vector<std::filesystem::path>& files);  // of those that are there
Status make_folder(const std::filesystem::path& folder);  // with its parents; must be writable in the end

Result<std::string> read_text(const std::filesystem::path& path, std::uint64_t bytes_max);

// What an ordinary user may still write to the disk under `folder`.
Result<std::uint64_t> bytes_left(const std::filesystem::path& folder);

// no_space where the disk under `folder` has fewer than `bytes` left; says how many are missing and where.
Status check_space(const std::filesystem::path& folder, std::uint64_t bytes, std::string_view what);

}  // namespace flotilla
