#include "hub/disk.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/replace_file.h"
#include "base/units.h"

namespace flotilla {

namespace fs = std::filesystem;

Result<DiskFile> DiskFile::open_to_read(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return disk_error("read", path, errno);
  return DiskFile(fd, path);
}

Result<DiskFile> DiskFile::open_to_write(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return disk_error("write", path, errno);
  return DiskFile(fd, path);
}

DiskFile::DiskFile(DiskFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

DiskFile& DiskFile::operator=(DiskFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

DiskFile::~DiskFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status DiskFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return disk_error("read", path_, errno);
    if (got == 0) {
      return fail(Code::corrupt, "[hub] expected '{}' to go on but it ends at {} bytes; it changed while in use",
                  path_.string(), offset);
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Status DiskFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return disk_error("write", path_, put < 0 ? errno : ENOSPC);
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Status DiskFile::set_size(std::uint64_t bytes) {
  if (bytes > static_cast<std::uint64_t>(INT64_MAX)) return disk_error("size", path_, EFBIG);
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) return disk_error("size", path_, errno);
  return {};
}

Status DiskFile::sync() {
  if (::fsync(fd_) != 0) return disk_error("sync", path_, errno);
  return {};
}

std::uint64_t bytes_of_all(const std::vector<fs::path>& files) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const fs::path& file : files)
    if (const auto size = fs::file_size(file, error); !error) bytes += size;
  return bytes;
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return disk_error("make the folder", folder, error.value());
  if (::faccessat(AT_FDCWD, folder.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0)
    return disk_error("write into the folder", folder, errno);
  return {};
}

Result<std::string> read_text(const fs::path& path, std::uint64_t bytes_max) {
  FLOTILLA_TRY(const auto file, DiskFile::open_to_read(path));
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  if (error) return disk_error("size", path, error.value());
  if (bytes > bytes_max) {
    return fail(Code::too_large, "[hub] expected at most {} bytes in '{}' but got {}", bytes_max, path.string(), bytes);
  }
  std::string text(bytes, '\0');
  FLOTILLA_TRY_STATUS(file.read(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  return text;
}

Result<std::uint64_t> bytes_left(const fs::path& folder) {
  struct statvfs disk{};
  if (::statvfs(folder.c_str(), &disk) != 0) return disk_error("look at the disk under", folder, errno);
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

Status check_space(const fs::path& folder, std::uint64_t bytes, std::string_view what) {
  FLOTILLA_TRY(const std::uint64_t free, bytes_left(folder));
  if (free >= bytes) return {};
  return fail(Code::no_space,
              "[hub] expected {} free in '{}' for {} but got {}: {} are missing; free some space or choose "
              "another home",
              format_bytes(bytes), folder.string(), what, format_bytes(free), format_bytes(bytes - free));
}

}  // namespace flotilla
