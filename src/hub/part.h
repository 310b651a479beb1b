// A model of which this node holds only some byte ranges: sparse files, and an index of what in them was verified.
// Owns: its folder HOME/parts/<fingerprint>. Thread: any; mutexes inside: who asks waits for bookkeeping
// alone, who changes what is counted for the disk too. Never: counts a range before its bytes are on the disk, counts
// one twice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/sha256.h"
#include "hub/byte_ranges.h"
#include "hub/disk.h"
#include "model/gguf.h"
#include "model/spec.h"
#include "wire/control.h"

namespace flotilla {

// A range as it was when it came.
struct KeptRange {
  FileRange range;
  std::string sha256;
  bool from_hub = false;  // by this machine itself, not from another one
  bool operator==(const KeptRange&) const = default;
};

class Part {
 public:
  // Makes the folder with the header in place and no ranges. no_space, permission.
  static Result<std::shared_ptr<Part>> create(const std::filesystem::path& parts_folder, const Gguf& header);
  // corrupt where the folder's files do not have the header that its name (the fingerprint) says.
  static Result<std::shared_ptr<Part>> open(const std::filesystem::path& folder);

  const std::shared_ptr<const Gguf>& gguf() const { return gguf_; }
  const std::vector<std::filesystem::path>& files() const { return gguf_->files(); }
  const std::filesystem::path& folder() const { return folder_; }

  // Held by whoever fetches bytes of it from a hub, so that two loads of one model do not fetch the same.
  std::mutex& filling() { return filling_; }

  // What of `ranges` has not been verified, sorted, without overlaps.
  FileRanges missing(const FileRanges& ranges) const;

  // The range's bytes have been written and synced, and have this digest.
  Status add(const FileRange& range, const Digest& digest, bool from_hub = false);

  // What of `ranges` is here, as it was recorded.
  std::vector<KeptRange> kept(const std::vector<FileRange>& ranges) const;
  // Counts no longer what meets one of `ranges`.
  Status forget(const std::vector<FileRange>& ranges);

  // The hub that has the whole of it; not known where it came from other machines only. invalid_argument where its
  // files are others than this header's.
  HubOrigin origin() const;
  Status set_origin(const HubOrigin& origin);

  // Rereads the verified ranges that meet one of `ranges` (all of them where there is none) and forgets those whose
  // bytes changed. Result: how many bytes were forgotten.
  Result<std::uint64_t> verify(const std::vector<FileRange>& ranges);

 private:
  Part(std::filesystem::path folder, std::shared_ptr<const Gguf> gguf)
      : folder_(std::move(folder)), gguf_(std::move(gguf)) {}
  Status load_index(std::string_view text);
  Status save_index(const std::vector<KeptRange>& verified, const HubOrigin& origin) const;
  void set_verified(std::vector<KeptRange> verified);

  const std::filesystem::path folder_;
  const std::shared_ptr<const Gguf> gguf_;
  std::mutex filling_;
  // Held by who changes what follows, until the index is on the disk: so the last one written is the newest. Taken
  // before mutex_, which who changes it holds for the change alone.
  std::mutex saving_;
  mutable std::mutex mutex_;
  std::vector<KeptRange> verified_;  // sorted, without overlaps
  HubOrigin origin_;
};

// What a part is complete with.
FileRanges all_but_header(const Gguf& gguf);

// Digest of a file's bytes as they are now.
Result<Digest> hash_range(const std::filesystem::path& file, std::uint64_t offset, std::uint64_t bytes);

}  // namespace flotilla
