// The keys of this machine's API, on disk: HOME/keys.json, readable by its owner only. It holds hashes; the keys
// themselves are shown when they are made and kept nowhere.
//
// Thread: any; blocks on the disk. Several processes may change the file: they wait for each other.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/api_keys.h"

namespace flotilla {

class KeyFile {
 public:
  explicit KeyFile(const std::filesystem::path& home) : home_(home) {}
  std::filesystem::path path() const { return home_ / "keys.json"; }

  // None where there is no file. corrupt where it cannot be understood: no key is guessed.
  Result<std::vector<ApiKey>> read() const;

  struct Made {
    ApiKey key;
    std::string text;       // what clients send
    bool is_first = false;  // there was none before
  };
  // Makes the home where it is missing. An empty name: the key's id. invalid_argument for a name that is taken or odd.
  Result<Made> create(const std::string& name, Scopes scopes) const;

  struct Revoked {
    ApiKey key;
    bool was_last = false;
  };
  Result<Revoked> revoke(const std::string& name_or_id) const;  // not_found: names those there are

 private:
  Status write(const std::vector<ApiKey>& keys) const;

  std::filesystem::path home_;
};

}  // namespace flotilla
