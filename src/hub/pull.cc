#include "hub/pull.h"

#include <format>

#include "hub/disk.h"
#include "hub/file_choice.h"
#include "hub/hub_model.h"
#include "hub/partial_blob.h"
#include "model/gguf_files.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

std::uint64_t size_of(const fs::path& path) {
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(path, error);
  return error ? 0 : bytes;
}

class Pull {
 public:
  Pull(const PullOrder& order, const PullWatch& watch)
      : order_(order),
        repository_(order.model.repository),
        cache_(order.settings.cache),
        watch_(watch),
        client_(order.settings, order.tries, watch) {}

  Result<PulledModel> run() {
    if (order_.settings.offline) return from_cache();
    FLOTILLA_TRY(const auto origin, find_origin(client_, order_.model, order_.revision));
    const std::vector<HubFile>& files = origin.files;
    FLOTILLA_TRY_STATUS(cache_.prepare(repository_));
    FLOTILLA_TRY_STATUS(find_space(files));
    for (const HubFile& file : files) FLOTILLA_TRY_STATUS(fetch({repository_, origin.commit, file}));
    // Two pulls of one model that waited for each other's bytes end at the same moment, and write the same names.
    FLOTILLA_TRY(const Descriptor held, cache_.lock(repository_, "refs", watch_));
    FLOTILLA_TRY_STATUS(cache_.publish(repository_, order_.revision, origin.commit, files));
    return pulled(origin.commit, files);
  }

 private:
  bool is_here(const HubFile& file) const { return size_of(cache_.blob(repository_, file.sha256)) == file.bytes; }

  Status find_space(const std::vector<HubFile>& files) {
    std::uint64_t missing = 0;
    for (const HubFile& file : files) {
      total_bytes_ += file.bytes;
      if (is_here(file)) continue;
      missing += file.bytes - std::min(file.bytes, size_of(cache_.incomplete(repository_, file.sha256)));
    }
    return check_space(cache_.folder(), missing, std::format("'{}'", order_.model.text()));
  }

  Status fetch(const FilePlace& place) {
    const HubFile& file = place.file;
    if (watch_.on_file) watch_.on_file(file);
    if (!is_here(file)) {
      FLOTILLA_TRY(const Descriptor held, cache_.lock(repository_, file.sha256, watch_));
      if (!is_here(file)) FLOTILLA_TRY_STATUS(fetch_locked(place));
    }
    done_bytes_ += file.bytes;
    return {};
  }

  // What an earlier attempt left may be damaged, by a power cut for example: that costs a second try, not the pull.
  Status fetch_locked(const FilePlace& place) {
    for (;;) {
      bool second_try = false;
      FLOTILLA_TRY_STATUS(fetch_and_check(place, second_try));
      if (!second_try) return {};
      watch_.note("what an earlier pull left was damaged; beginning anew");
    }
  }

  Status fetch_and_check(const FilePlace& place, bool& second_try) {
    const HubFile& file = place.file;
    const auto tell = [this](std::uint64_t bytes) {
      if (watch_.on_progress) watch_.on_progress(done_bytes_ + bytes, total_bytes_);
    };
    FLOTILLA_TRY(auto partial,
                 PartialBlob::open(cache_.incomplete(repository_, file.sha256), file.bytes, watch_, tell));
    const std::uint64_t before = partial.offset();
    FLOTILLA_TRY_STATUS(client_.fetch(place, partial));
    fetched_bytes_ += partial.offset() - std::min(before, partial.offset());
    const bool began_earlier = partial.began_earlier();
    auto finished = partial.finish(cache_.blob(repository_, file.sha256), file.sha256);
    second_try = !finished && finished.error().code == Code::corrupt && began_earlier;
    return second_try ? Status{} : finished;
  }

  PulledModel pulled(const std::string& commit, const std::vector<HubFile>& files) const {
    PulledModel model{.name = parse_split_name(fs::path(files.front().path)).stem,
                      .repository = repository_,
                      .commit = commit,
                      .files = {},
                      .bytes = total_bytes_,
                      .fetched_bytes = fetched_bytes_};
    for (const HubFile& file : files) model.files.push_back(cache_.snapshot(repository_, commit) / file.path);
    return model;
  }

  // What is in the cache, chosen by the same rules.
  Result<PulledModel> from_cache() {
    const std::string commit = cache_.remembered_commit(repository_, order_.revision);
    std::vector<HubFile> listing;
    const fs::path snapshot = cache_.snapshot(repository_, commit);
    for (const CachedModel& model : cached_models(cache_.folder()))
      for (const fs::path& file : model.files)
        if (const fs::path inner = file.lexically_relative(snapshot); !commit.empty() && *inner.begin() != "..")
          listing.push_back({.path = inner.string(), .bytes = size_of(file), .sha256 = {}});
    if (listing.empty())
      return fail(Code::unavailable,
                  "[hub] expected to ask {} for {} but HF_HUB_OFFLINE is set, and it is not in {}; unset it",
                  order_.settings.endpoint, repository_, cache_.folder().string());
    FLOTILLA_TRY(const auto files, choose_files(listing, repository_, order_.model.quant));
    for (const HubFile& file : files) total_bytes_ += file.bytes;
    return pulled(commit, files);
  }

  const PullOrder& order_;
  const std::string& repository_;
  const HubCache cache_;
  const PullWatch& watch_;
  HubClient client_;
  std::uint64_t total_bytes_ = 0, done_bytes_ = 0, fetched_bytes_ = 0;  // of all files; of those that are done
};

}  // namespace

Result<PulledModel> pull_model(const PullOrder& order, const PullWatch& watch) { return Pull(order, watch).run(); }

Result<VerifiedModel> verify_model(const CachedModel& model, const PullWatch& watch) {
  VerifiedModel verified;
  std::uint64_t total = 0, done = 0;
  for (const fs::path& file : model.files) total += size_of(file);
  for (const fs::path& file : model.files) {
    std::error_code error;
    const std::string recorded = fs::read_symlink(file, error).filename().string();
    const std::uint64_t bytes = size_of(file);
    if (!is_hex(recorded, sha256_digits)) {
      verified.unknown.push_back(file);
      continue;
    }
    auto hash = hash_of_file(file, watch, [&](std::uint64_t at) {
      if (watch.on_progress) watch.on_progress(done + at, total);
    });
    if (!hash && hash.error().code != Code::not_found) return fail(std::move(hash).error());
    if (!hash || *hash != recorded) verified.damaged.push_back(file);
    verified.bytes += bytes;
    done += bytes;
  }
  return verified;
}

}  // namespace flotilla
