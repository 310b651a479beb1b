#include "base/replace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace flotilla {
namespace {

namespace fs = std::filesystem;

// Closes itself.
class OpenFile {
 public:
  OpenFile(const fs::path& path, int flags, mode_t mode) : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

Status write_and_sync(const fs::path& path, std::string_view text, mode_t mode) {
  const OpenFile file(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (file.fd() < 0) return disk_error("write", path, errno);
  while (!text.empty()) {
    const ssize_t put = ::write(file.fd(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return disk_error("write", path, put < 0 ? errno : ENOSPC);
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fsync(file.fd()) != 0) return disk_error("sync", path, errno);
  return {};
}

// A rename is lasting only once its folder is on the disk too.
Status sync_folder(const fs::path& folder) {
  const OpenFile opened(folder, O_RDONLY | O_DIRECTORY, 0);
  if (opened.fd() < 0) return disk_error("open the folder", folder, errno);
  if (::fsync(opened.fd()) != 0 && errno != EINVAL) return disk_error("sync the folder", folder, errno);
  return {};
}

}  // namespace

Status replace_file(const fs::path& path, std::string_view text, mode_t mode) {
  const fs::path fresh = path.string() + ".new";
  FLOTILLA_TRY_STATUS(write_and_sync(fresh, text, mode));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return disk_error("replace", path, errno);
  return sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

std::unexpected<Error> disk_error(std::string_view verb, const fs::path& path, int cause) {
  const char* words = std::strerror(cause);
  switch (cause) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return fail(Code::no_space,
                  "[base] expected to {} '{}' but the disk is full ({}); free some space or choose another home", verb,
                  path.string(), words);
    case EACCES:
    case EPERM:
    case EROFS:
      return fail(Code::permission,
                  "[base] expected to {} '{}' but the system refused ({}); make the folder writable for this user or "
                  "choose another home",
                  verb, path.string(), words);
    case ENOENT:
    case ENOTDIR:
      return fail(Code::not_found, "[base] expected to {} '{}' but got: {}", verb, path.string(), words);
    default:
      return fail(Code::unavailable, "[base] expected to {} '{}' but got: {}", verb, path.string(), words);
  }
}

}  // namespace flotilla
