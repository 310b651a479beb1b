#include "app/key_watch.h"

#include <sys/stat.h>

#include <utility>

#include "base/log.h"

namespace flotilla {

Result<KeyWatch> KeyWatch::start(const std::filesystem::path& home) {
  KeyWatch watch{KeyFile(home)};
  watch.version_ = version_of(watch.file_.path());
  FLOTILLA_TRY_STATUS(watch.read());
  return watch;
}

void KeyWatch::set_local(const Digest& digest) {
  local_ = digest;
  keys_ = ApiKeys(listed_, local_);
}

const ApiKeys& KeyWatch::now() {
  // The version is taken before the content: what is written in between is seen as a change the next time.
  if (const Version version = version_of(file_.path()); version != version_) {
    const auto status = read();  // tried again at the next request where it failed: the cause may be another's
    if (status)
      version_ = version;
    else if (std::exchange(unread_, version) != version)
      log(LogLevel::error, "app", "the keys stay as they were: {}", status.error().message);
  }
  return keys_;
}

KeyWatch::Version KeyWatch::version_of(const std::filesystem::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  const auto nanoseconds = [](const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  };
#ifdef __APPLE__
  const timespec &written = status.st_mtimespec, &changed = status.st_ctimespec;
#else
  const timespec &written = status.st_mtim, &changed = status.st_ctim;
#endif
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = static_cast<std::int64_t>(status.st_size),
          .written_ns = nanoseconds(written),
          .changed_ns = nanoseconds(changed)};
}

Status KeyWatch::read() {
  FLOTILLA_TRY(listed_, file_.read());
  keys_ = ApiKeys(listed_, local_);
  return {};
}

}  // namespace flotilla
