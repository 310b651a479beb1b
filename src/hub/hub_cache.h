// The folder in which Hugging Face's tools keep what they downloaded. Shared with them: what they fetched is found
// here, and the other way round, so everything in it looks as it does there.
//
//   CACHE/models--ORG--NAME/refs/main                   the commit that this branch was when it was asked for last
//   CACHE/models--ORG--NAME/blobs/SHA256                a file's bytes, whole
//   CACHE/models--ORG--NAME/blobs/SHA256.incomplete     the beginning of one, without gaps
//   CACHE/models--ORG--NAME/snapshots/COMMIT/PATH       a link to ../../blobs/SHA256
//   CACHE/.locks/models--ORG--NAME/SHA256.lock          locked (flock) by whoever writes that blob
//
// Thread: any; two processes at once do each other no harm.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub_client.h"
#include "io/tcp_link.h"

namespace flotilla {

// A model in the cache, at one commit.
struct CachedModel {
  std::string name;                          // as `flotilla list` shows it
  std::string repository;                    // "org/name"
  std::vector<std::filesystem::path> files;  // links in a snapshot: the parts that are there, in order

  const std::filesystem::path& first_file() const { return files.front(); }
  std::string reference() const;  // what pulls it again
};

// Of each model the newest commit first. Empty where there is no such folder.
std::vector<CachedModel> cached_models(const std::filesystem::path& cache);

class HubCache {
 public:
  explicit HubCache(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }

  std::filesystem::path blob(const std::string& repository, const std::string& sha256) const;
  std::filesystem::path incomplete(const std::string& repository, const std::string& sha256) const;
  std::filesystem::path snapshot(const std::string& repository, const std::string& commit) const;

  Status prepare(const std::string& repository) const;  // makes the folders
  // Waits until nobody else writes that blob (or "refs"), also another program. Held until it goes. cancelled by the
  // watch.
  Result<Descriptor> lock(const std::string& repository, const std::string& what, const PullWatch& watch) const;
  // The same at once: empty where somebody else holds it.
  Result<Descriptor> try_lock(const std::string& repository, const std::string& what) const;

  // Links that name the files at a commit; their blobs are there. Then the commit is what the revision is. One at a
  // time: whoever calls it holds lock(repository, "refs").
  Status publish(const std::string& repository, const std::string& revision, const std::string& commit,
                 const std::vector<HubFile>& files) const;
  std::string remembered_commit(const std::string& repository, const std::string& revision) const;  // or empty

  // Takes the model out: its links at every commit, and the bytes that nothing else in the repository refers to. With
  // the last file of a repository all of it goes, unless a pull of another is under way. How many bytes became free.
  Result<std::uint64_t> remove(const CachedModel& model) const;

  // What pulls that were broken off left. busy where one of them goes on.
  std::uint64_t unfinished_bytes(const std::string& repository) const;
  Result<std::uint64_t> remove_unfinished(const std::string& repository) const;

 private:
  std::filesystem::path repository_folder(const std::string& repository) const;
  std::vector<std::filesystem::path> unfinished(const std::string& repository) const;
  Result<std::vector<Descriptor>> lock_unfinished(const std::string& repository) const;

  const std::filesystem::path folder_;
};

}  // namespace flotilla
