// Decides what model files this node has, and keeps the parts it took from others.
// In: model folders, byte ranges with digests.  Out: ModelInfo, Gguf headers, paths a stage can read.  Owns: the parts
// folder under the node's home.  Thread: any; a mutex inside.  Never: follows a name from a peer to a path, writes
// outside its folder, calls a part complete that it has not verified.
//
// A part of a model taken from a peer is a sparse file of the model's full size plus an index of verified ranges:
//   HOME/parts/<fingerprint>/<index>.gguf       sparse; index 0, 1, ... for split files
//   HOME/parts/<fingerprint>/ranges.json        name, file sizes, and per range offset, bytes, sha256
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/transfer.h"
#include "io/link.h"
#include "model/gguf.h"
#include "model/spec.h"
#include "wire/control.h"
#include "wire/node_info.h"

namespace flotilla {

class Part;

struct StoreOptions {
  std::filesystem::path home;
  std::vector<std::filesystem::path> folders;  // each searched for *.gguf, not recursively; missing ones are an error
  std::filesystem::path hub_cache = {};        // hub_cache.h; empty: none. Searched too, where it is there
  std::filesystem::path ollama = {};           // ollama_store.h; the same
};

struct StoredModel {
  ModelInfo info;                            // complete also where a part has come to be the whole file
  bool is_part = false;                      // kept under HOME/parts, so that its bytes have digests
  std::shared_ptr<const Gguf> gguf;          // header; never null
  std::vector<std::filesystem::path> files;  // as the stage reads them; sparse where not complete
  HubOrigin origin = {};                     // of a part whose other bytes a hub has
};

// done and total in bytes still to fetch.
using FetchProgressFn = std::function<void(std::uint64_t done, std::uint64_t total)>;

class Store {
 public:
  // permission, no_space, not_found with the folder's name. A file that is not a GGUF is skipped with a warning that
  // says why.
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  virtual ~Store() = default;

  // Looks into the folders again. Reads the disk for as long as that takes, so on a helper thread, never on a loop.
  virtual void refresh() = 0;
  virtual std::vector<StoredModel> list() = 0;  // as refresh() (or open) last saw it, and every part; never waits
  // By fingerprint where one is given, whatever the file is called here; by name otherwise. not_found: names the
  // folders searched and the closest names.
  virtual Result<StoredModel> find(const std::string& model, const std::string& fingerprint) = 0;

  // Why a file whose name begins like that (in any case) was no model when refresh() looked last; empty where there is
  // no such file.
  virtual std::string why_skipped(const std::string& model) = 0;

  // All of the model but its header: what makes a part complete.
  static std::vector<FileRange> whole(const StoredModel& model);
  virtual std::uint64_t space_left() const = 0;  // on the disk of the parts, in bytes

  // What of `ranges` is not yet on this disk (complete files need nothing).
  virtual std::vector<FileRange> missing(const std::string& fingerprint, const std::vector<FileRange>& ranges) = 0;

  // Makes sure that header and ranges are here, taking what is missing from the peer at the other end of `link` (a bulk
  // connection after its handshake). Checks the SHA-256 of each range as it arrives; what was verified stays after a
  // failure. no_space (how much is missing), corrupt, closed. `stop` set from another thread ends it with cancelled.
  virtual Result<StoredModel> fetch_header(Link& link, const std::string& model, const std::string& fingerprint) = 0;
  virtual Result<StoredModel> fetch_ranges(Link& link, const StoredModel& model, const std::vector<FileRange>& ranges,
                                           const FetchProgressFn& progress, const std::atomic<bool>& stop) = 0;

  // Rereads the verified ranges of a part that meet one of `ranges` (all where there is none) and compares digests.
  // Those that no longer match are forgotten with a warning, and missing() names them again; that is success. Fails
  // where the disk does. Complete files have no digests: nothing to do.
  virtual Status verify(const std::string& fingerprint, const std::vector<FileRange>& ranges) = 0;

  // The part itself, for those who fill it from elsewhere (hub/gather.h); null where there is none.
  virtual std::shared_ptr<Part> part(const std::string& fingerprint) { return (void)fingerprint, nullptr; }
  // A part with this header, or the one there is.
  virtual Result<std::shared_ptr<Part>> begin_part(const Gguf& header) {
    return fail(Code::unsupported, "[hub] expected a store that keeps parts, for '{}'", header.name());
  }
  // It has become a file of its own, that refresh() has seen, or is not wanted any more: its folder goes.
  virtual Status drop_part(const std::string& fingerprint) { return (void)fingerprint, Status{}; }

  // Answers one bulk connection until it closes: headers and ranges of complete files (and of verified ranges).
  // Requests of other kinds are handed on.
  virtual Status serve(Link& link, const OnOtherFn& on_other = {}) = 0;
};

}  // namespace flotilla
