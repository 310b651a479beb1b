#include "hub/partial_blob.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "base/hex.h"
#include "base/replace_file.h"
#include "base/units.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t reread_bytes = 1 << 20;

Status hash_up_to(const DiskFile& file, std::uint64_t bytes, Sha256& hash, const PullWatch& watch,
                  const std::function<void(std::uint64_t)>& on_byte_count) {
  std::vector<std::byte> buffer(reread_bytes);
  for (std::uint64_t at = 0; at < bytes;) {
    if (watch.stopped()) return fail(Code::cancelled, "[hub] stopped");
    const std::span piece(buffer.data(), std::min<std::uint64_t>(buffer.size(), bytes - at));
    FLOTILLA_TRY_STATUS(file.read(at, piece));
    hash.add(piece);
    at += piece.size();
    on_byte_count(at);
  }
  return {};
}

}  // namespace

Result<PartialBlob> PartialBlob::open(fs::path path, std::uint64_t bytes, const PullWatch& watch,
                                      std::function<void(std::uint64_t)> on_byte_count) {
  FLOTILLA_TRY(auto file, DiskFile::open_to_write(path));
  std::error_code error;
  const std::uint64_t here = fs::file_size(path, error);
  if (error) return disk_error("size", path, error.value());
  PartialBlob partial(std::move(path), std::move(file), std::move(on_byte_count));
  if (here > bytes) {  // of something else
    FLOTILLA_TRY_STATUS(partial.restart());
  } else if (here > 0) {
    FLOTILLA_TRY_STATUS(partial.take_in(here, watch));
  }
  return partial;
}

Status PartialBlob::take_in(std::uint64_t bytes, const PullWatch& watch) {
  FLOTILLA_TRY_STATUS(hash_up_to(file_, bytes, hash_, watch, on_byte_count_));
  offset_ = bytes;
  began_earlier_ = true;
  return {};
}

Status PartialBlob::restart() {
  FLOTILLA_TRY_STATUS(file_.set_size(0));
  hash_ = Sha256();
  offset_ = 0;
  began_earlier_ = false;
  on_byte_count_(0);
  return {};
}

Status PartialBlob::add(std::span<const std::byte> bytes) {
  FLOTILLA_TRY_STATUS(file_.write(offset_, bytes));
  hash_.add(bytes);
  offset_ += bytes.size();
  on_byte_count_(offset_);
  return {};
}

Status PartialBlob::finish(const fs::path& blob, const std::string& sha256) {
  const std::string hash = to_hex(hash_.finish());
  if (hash != sha256) {
    std::error_code ignored;
    fs::remove(path_, ignored);
    return fail(
        Code::corrupt,
        "[hub] expected bytes with the SHA-256 {}… but got {}…; they were thrown away. Pull again, and where that "
        "does not help tell who keeps the repository",
        sha256.substr(0, 12), hash.substr(0, 12));
  }
  FLOTILLA_TRY_STATUS(file_.sync());
  if (::rename(path_.c_str(), blob.c_str()) != 0) return disk_error("rename", path_, errno);
  return {};
}

Result<std::string> hash_of_file(const fs::path& path, const PullWatch& watch,
                                 const std::function<void(std::uint64_t)>& on_byte_count) {
  FLOTILLA_TRY(const auto file, DiskFile::open_to_read(path));
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(path, error);
  if (error) return disk_error("size", path, error.value());
  Sha256 hash;
  FLOTILLA_TRY_STATUS(hash_up_to(file, bytes, hash, watch, on_byte_count));
  return to_hex(hash.finish());
}

}  // namespace flotilla
