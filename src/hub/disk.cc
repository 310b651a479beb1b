#include "hub/disk.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/units.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> disk_error(std::string_view verb, const fs::path& path, int cause) {
  switch (cause) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return fail(Code::no_space,
                  "[hub] expected to {} '{}' but the disk is full ({}); free some space or choose another home", verb,
                  path.string(), std::strerror(cause));
    case EACCES:
    case EPERM:
    case EROFS:
      return fail(Code::permission,
                  "[hub] expected to {} '{}' but the system refused ({}); make the folder writable for this "
                  "user or choose another home",
                  verb, path.string(), std::strerror(cause));
    case ENOENT:
    case ENOTDIR:
      return fail(Code::not_found, "[hub] expected to {} '{}' but got: {}", verb, path.string(), std::strerror(cause));
    default:
      return fail(Code::unavailable, "[hub] expected to {} '{}' but got: {}", verb, path.string(),
                  std::strerror(cause));
  }
}

// A rename is lasting only once its folder is on the disk too.
Status sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return disk_error("open the folder", folder, errno);
  const int result = ::fsync(fd), cause = errno;
  ::close(fd);
  if (result != 0 && cause != EINVAL) return disk_error("sync the folder", folder, cause);
  return {};
}

}  // namespace

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

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return disk_error("make the folder", folder, error.value());
  if (::faccessat(AT_FDCWD, folder.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0)
    return disk_error("write into the folder", folder, errno);
  return {};
}

Status write_atomically(const fs::path& path, std::string_view text) {
  const fs::path fresh = path.string() + ".new";
  {
    FLOTILLA_TRY(auto file, DiskFile::open_to_write(fresh));
    FLOTILLA_TRY_STATUS(file.set_size(0));
    FLOTILLA_TRY_STATUS(file.write(0, std::as_bytes(std::span(text.data(), text.size()))));
    FLOTILLA_TRY_STATUS(file.sync());
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return disk_error("replace", path, errno);
  return sync_folder(path.parent_path());
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

Status check_space(const fs::path& folder, std::uint64_t bytes, std::string_view what) {
  struct statvfs disk{};
  if (::statvfs(folder.c_str(), &disk) != 0) return disk_error("look at the disk under", folder, errno);
  const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (free >= bytes) return {};
  return fail(Code::no_space,
              "[hub] expected {} free in '{}' for {} but got {}: {} are missing; free some space or choose "
              "another home",
              format_bytes(bytes), folder.string(), what, format_bytes(free), format_bytes(bytes - free));
}

}  // namespace flotilla
