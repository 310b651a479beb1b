// The beginning of a file that is being fetched: on the disk without gaps, and hashed as it comes, so that it can be
// gone on with after anything that ends the process. Thread: one.
// Never: stands under the final name before its length and SHA-256 are those that were announced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/sha256.h"
#include "hub/disk.h"
#include "hub/hub_client.h"

namespace flotilla {

class PartialBlob final : public ByteSink {
 public:
  // Rereads what an earlier attempt left, to hash it. on_byte_count hears how many bytes there are, often. no_space,
  // permission, cancelled.
  static Result<PartialBlob> open(std::filesystem::path path, std::uint64_t bytes, const PullWatch& watch,
                                  std::function<void(std::uint64_t)> on_byte_count);

  std::uint64_t offset() const override { return offset_; }
  Status restart() override;
  Status add(std::span<const std::byte> bytes) override;
  bool began_earlier() const { return began_earlier_; }  // some of its bytes are another process's work

  // Everything is there: brings it to the disk and gives it its final name. corrupt where the hash is another: what is
  // there is then thrown away.
  Status finish(const std::filesystem::path& blob, const std::string& sha256);

 private:
  PartialBlob(std::filesystem::path path, DiskFile file, std::function<void(std::uint64_t)> on_byte_count)
      : path_(std::move(path)), file_(std::move(file)), on_byte_count_(std::move(on_byte_count)) {}
  Status take_in(std::uint64_t bytes, const PullWatch& watch);

  std::filesystem::path path_;
  DiskFile file_;
  std::function<void(std::uint64_t)> on_byte_count_;
  Sha256 hash_;
  std::uint64_t offset_ = 0;
  bool began_earlier_ = false;
};

// SHA-256 of the first bytes of a file, in hexadecimal. cancelled by the watch.
Result<std::string> hash_of_file(const std::filesystem::path& path, const PullWatch& watch,
                                 const std::function<void(std::uint64_t)>& on_byte_count);

}  // namespace flotilla
