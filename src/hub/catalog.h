// The complete model files in the user's folders, in the hub cache (hub_cache.h) and in Ollama's store
// (ollama_store.h). Reads a file's header again only where its size or time changed. Thread: one at a time (the store's
// mutex).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"

namespace flotilla {

class Catalog {
 public:
  // not_found or permission where a folder cannot be read. The hub cache and Ollama's store may be missing, and come
  // later.
  static Result<Catalog> open(std::vector<std::filesystem::path> folders, std::filesystem::path hub_cache = {},
                              std::filesystem::path ollama = {});

  // One model per name; where two folders have one, the first folder's, a folder's rather than the hub cache's, and
  // that rather than Ollama's. A file that is no GGUF, or whose name no message could carry (wire/plain_text.h), is
  // skipped and a warning says why, once per state of the file. A file that changes from one scan to the next is read
  // when it has come to rest. A folder that went away is empty.
  std::vector<std::shared_ptr<const Gguf>> scan();

  // What the last scan skipped, and why.
  std::map<std::filesystem::path, std::string> skipped() const;

  const std::vector<std::filesystem::path>& folders() const { return folders_; }

 private:
  // Size and time of the file and of every further part; what is not there counts as zero.
  using State = std::vector<std::pair<std::uint64_t, std::int64_t>>;
  struct Entry {
    State state;
    bool read = false;                 // not yet where the file changed since the last look: it may be being copied
    std::shared_ptr<const Gguf> gguf;  // null where the file is no model
    std::string why_skipped;           // then
  };
  static State state_of(const std::filesystem::path& first);
  // `name`: of a file whose own says nothing.
  std::shared_ptr<const Gguf> load(const std::filesystem::path& path, std::map<std::filesystem::path, Entry>& fresh,
                                   const std::string& name = {});

  std::vector<std::filesystem::path> folders_;
  std::filesystem::path hub_cache_, ollama_;
  std::map<std::filesystem::path, Entry> entries_;
};

}  // namespace flotilla
