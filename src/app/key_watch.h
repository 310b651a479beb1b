// The keys as they are at this moment: looks whether the key file has changed whenever it is asked, which costs one
// call to the system, so that a key that is revoked is refused from the next request on.
//
// Thread: the loop's; blocks on the disk where the file has changed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "app/key_file.h"
#include "base/result.h"
#include "server/api_keys.h"

namespace flotilla {

class KeyWatch {
 public:
  // The file's error where it cannot be read or understood.
  static Result<KeyWatch> start(const std::filesystem::path& home);

  // The programs of this user on this machine, which know the node's own key (local_key.h).
  void set_local(const Digest& digest);

  // A file that became unreadable changes nothing: the keys it held stay, and the log says so.
  const ApiKeys& now();

 private:
  // What tells one content of the file from another; all zero where there is none.
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    std::int64_t bytes = 0, written_ns = 0, changed_ns = 0;
    bool operator==(const Version&) const = default;
  };
  explicit KeyWatch(KeyFile file) : file_(std::move(file)) {}
  static Version version_of(const std::filesystem::path& path);
  Status read();

  KeyFile file_;
  Version version_, unread_;  // what was read; what could not be
  std::vector<ApiKey> listed_;
  std::optional<Digest> local_;
  ApiKeys keys_;
};

}  // namespace flotilla
