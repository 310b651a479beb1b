// The node's home folder: who it is, and that nobody else is it at the same time.
//
//   HOME/trust/        this machine's key, and its place in a cluster (trust/standing.h); never copied between machines
//   HOME/lock          held while a node runs
//   HOME/keys.json     hashes of the API's keys (key_file.h); changed only by who holds HOME/keys.lock
//   HOME/local.json    the key of this user's own commands, while a node runs (local_key.h)
//   HOME/peers.txt     addresses of nodes met before (cluster)
//   HOME/models/       models searched besides --models folders
//   HOME/parts/        layers taken from other nodes (hub)
#pragma once

#include <filesystem>
#include <memory>

#include "base/ids.h"
#include "base/result.h"
#include "io/tcp_link.h"
#include "trust/standing.h"

namespace flotilla {

class Home {
 public:
  // Makes the folder where it is missing. permission where it cannot be written, busy where another node runs in it.
  static Result<Home> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::shared_ptr<Standing>& standing() const { return standing_; }
  std::filesystem::path models() const { return path_ / "models"; }
  std::filesystem::path remembered_peers() const { return path_ / "peers.txt"; }

 private:
  std::filesystem::path path_;
  std::shared_ptr<Standing> standing_;
  Descriptor lock_;
};

// $FLOTILLA_HOME is handled by the flag; this is the default: $XDG_DATA_HOME/flotilla, else ~/.local/share/flotilla
// (~/Library/Application Support/flotilla on macOS).
std::filesystem::path default_home();

}  // namespace flotilla
