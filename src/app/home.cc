#include "app/home.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace flotilla {
namespace {

namespace fs = std::filesystem;

Status make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    return fail(Code::permission, "[app] cannot make the folder {} ({}); choose another with --home", path.string(),
                error.message());
  return {};
}

// flock goes with the process, however it ends: a crash leaves no stale lock behind.
Result<Descriptor> take_lock(const fs::path& path) {
  Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock)
    return fail(Code::permission, "[app] cannot write in the home folder {} ({}); choose another with --home",
                path.parent_path().string(), std::strerror(errno));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(
        Code::busy,
        "[app] another node already runs with the home folder {}; stop it, or give this one its own --home (and "
        "beside another node on one machine also its own --name, --api and --cluster-port)",
        path.parent_path().string());
  return lock;
}

}  // namespace

Result<Home> Home::open(const fs::path& path) {
  FLOTILLA_TRY_STATUS(make_folder(path));
  Home home;
  home.path_ = fs::absolute(path);
  FLOTILLA_TRY(home.lock_, take_lock(home.path_ / "lock"));
  FLOTILLA_TRY_STATUS(make_folder(home.models()));
  FLOTILLA_TRY(home.standing_, Standing::open(home.path_ / "trust"));
  return home;
}

fs::path default_home() {
  const char* user_home = std::getenv("HOME");
#ifdef __APPLE__
  return fs::path(user_home ? user_home : ".") / "Library/Application Support/flotilla";
#else
  if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data) return fs::path(data) / "flotilla";
  return fs::path(user_home ? user_home : ".") / ".local/share/flotilla";
#endif
}

}  // namespace flotilla
