#include "hub/hub_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <format>
#include <map>
#include <set>
#include <system_error>
#include <thread>

#include "base/replace_file.h"
#include "hub/disk.h"
#include "hub/hub_limits.h"
#include "hub/model_reference.h"
#include "model/gguf_files.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::string_view repository_prefix = "models--";
constexpr std::string_view separator = "--";
constexpr auto lock_poll_interval = 200ms;

// "models--org--name" of "org/name", and back; empty where it is no such folder.
std::string folder_name_of(const std::string& repository) {
  const auto slash = repository.find('/');
  return std::format("{}{}{}{}", repository_prefix, repository.substr(0, slash), separator,
                     repository.substr(slash + 1));
}

std::string repository_of(const std::string& folder_name) {
  if (!folder_name.starts_with(repository_prefix)) return "";
  std::string rest = folder_name.substr(repository_prefix.size());
  const auto dashes = rest.find(separator);
  if (dashes == std::string::npos) return "";
  rest.replace(dashes, separator.size(), "/");
  return is_repository(rest) ? rest : "";
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    entries.push_back(it->path());
  std::ranges::sort(entries);
  return entries;
}

// Everything below a snapshot that is no folder; links are not followed into folders.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error);
       !error && it != fs::recursive_directory_iterator() && files.size() < hub_limits::files_max;
       it.increment(error)) {
    std::error_code unknown;
    if (it.depth() >= static_cast<int>(hub_limits::path_depth_max)) it.disable_recursion_pending();
    if (!fs::is_directory(it->symlink_status(unknown))) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

// The commit that a branch names, then the others.
std::vector<fs::path> snapshots_of(const fs::path& repository) {
  auto snapshots = sorted_entries(repository / "snapshots");
  const std::string main = read_text(repository / "refs/main", commit_digits).value_or("");
  std::ranges::stable_partition(snapshots, [&](const fs::path& path) { return path.filename() == main; });
  return snapshots;
}

std::vector<fs::path> parts_from(const fs::path& first) {
  const SplitName split = parse_split_name(first);
  std::vector<fs::path> parts{first};
  for (std::uint32_t number = 2; number <= std::min(split.count, split_parts_max); ++number) {
    const fs::path part = first.parent_path() / part_name(split, number);
    std::error_code error;
    if (fs::exists(part, error)) parts.push_back(part);
  }
  return parts;
}

// The blob that a link of a snapshot names; empty where it is something else.
fs::path blob_of(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) return {};
  const fs::path blob = (link.parent_path() / target).lexically_normal();
  return blob.parent_path().filename() == "blobs" ? blob : fs::path();
}

Status link_to(const fs::path& target, const fs::path& link) {
  std::error_code error;
  if (fs::read_symlink(link, error) == target && !error) return {};
  // Another program may make the same link at this moment: a rename puts ours in its place without a gap.
  const fs::path fresh = std::format("{}.{}.new", link.string(), ::getpid());
  fs::remove(fresh, error);
  fs::create_symlink(target, fresh, error);
  if (error) return disk_error("link", fresh, error.value());
  if (::rename(fresh.c_str(), link.c_str()) == 0) return {};
  const int cause = errno;
  fs::remove(fresh, error);
  return disk_error("link", link, cause);
}

Status remove_file(const fs::path& path, std::uint64_t& freed) {
  std::error_code no_size, error;
  const auto bytes = fs::is_symlink(fs::symlink_status(path, no_size)) ? 0 : fs::file_size(path, no_size);
  if (fs::remove(path, error) && !no_size) freed += bytes;
  if (error) return disk_error("remove", path, error.value());
  return {};
}

void remove_empty_folders(const fs::path& folder, const fs::path& last) {
  std::error_code error;
  for (fs::path each = folder; each != last && each.has_relative_path(); each = each.parent_path())
    if (!fs::is_empty(each, error) || error || !fs::remove(each, error)) return;
}

}  // namespace

std::string CachedModel::reference() const { return std::format("{}:{}", repository, name + ".gguf"); }

std::vector<CachedModel> cached_models(const fs::path& cache) {
  std::vector<CachedModel> models;
  if (cache.empty()) return models;
  for (const fs::path& folder : sorted_entries(cache)) {
    const std::string repository = repository_of(folder.filename().string());
    if (repository.empty()) continue;
    std::set<fs::path> seen;  // within a snapshot: an older commit's file of one name is not another model
    for (const fs::path& snapshot : snapshots_of(folder)) {
      for (const fs::path& file : files_below(snapshot)) {
        const SplitName split = parse_split_name(file);
        if (file.extension() != ".gguf" || split.number > 1 || is_companion(file.filename().string())) continue;
        if (!seen.insert(file.lexically_relative(snapshot)).second) continue;
        models.push_back({.name = split.stem, .repository = repository, .files = parts_from(file)});
      }
    }
  }
  return models;
}

fs::path HubCache::repository_folder(const std::string& repository) const {
  return folder_ / folder_name_of(repository);
}

fs::path HubCache::blob(const std::string& repository, const std::string& sha256) const {
  return repository_folder(repository) / "blobs" / sha256;
}

fs::path HubCache::incomplete(const std::string& repository, const std::string& sha256) const {
  return repository_folder(repository) / "blobs" / (sha256 + ".incomplete");
}

fs::path HubCache::snapshot(const std::string& repository, const std::string& commit) const {
  return repository_folder(repository) / "snapshots" / commit;
}

Status HubCache::prepare(const std::string& repository) const {
  for (const char* name : {"blobs", "refs", "snapshots"})
    FLOTILLA_TRY_STATUS(make_folder(repository_folder(repository) / name));
  return make_folder(folder_ / ".locks" / folder_name_of(repository));
}

Result<Descriptor> HubCache::try_lock(const std::string& repository, const std::string& what) const {
  const fs::path path = folder_ / ".locks" / folder_name_of(repository) / (what + ".lock");
  for (;;) {
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file) return disk_error("lock", path, errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Descriptor();
      if (errno == EINTR) continue;
      return disk_error("lock", path, errno);
    }
    // Whoever held it may have removed it: then ours is a lock that nobody else sees.
    struct stat held{}, named{};
    if (::fstat(file.get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino)
      return file;
  }
}

Result<Descriptor> HubCache::lock(const std::string& repository, const std::string& what,
                                  const PullWatch& watch) const {
  for (bool told = false;; told = true) {
    FLOTILLA_TRY(Descriptor held, try_lock(repository, what));
    if (held) return held;
    if (watch.stopped()) return fail(Code::cancelled, "[hub] stopped");
    if (!told) watch.note("another program is getting the same; waiting for it");
    std::this_thread::sleep_for(lock_poll_interval);
  }
}

Status HubCache::publish(const std::string& repository, const std::string& revision, const std::string& commit,
                         const std::vector<HubFile>& files) const {
  const fs::path snapshot = this->snapshot(repository, commit);
  for (const HubFile& file : files) {
    const fs::path link = snapshot / file.path;
    FLOTILLA_TRY_STATUS(make_folder(link.parent_path()));
    const fs::path target = blob(repository, file.sha256).lexically_relative(link.parent_path());
    FLOTILLA_TRY_STATUS(link_to(target, link));
  }
  return replace_file(repository_folder(repository) / "refs" / revision, commit);
}

std::string HubCache::remembered_commit(const std::string& repository, const std::string& revision) const {
  const auto commit = read_text(repository_folder(repository) / "refs" / revision, commit_digits);
  return commit && is_hex(*commit, commit_digits) ? *commit : "";
}

Result<std::uint64_t> HubCache::remove(const CachedModel& model) const {
  const fs::path folder = repository_folder(model.repository);
  std::uint64_t freed = 0;
  std::set<fs::path> blobs;
  const fs::path snapshot_name = model.first_file().lexically_relative(folder / "snapshots");
  const fs::path own_snapshot = folder / "snapshots" / *snapshot_name.begin();
  for (const fs::path& snapshot : snapshots_of(folder)) {
    for (const fs::path& file : model.files) {
      const fs::path link = snapshot / file.lexically_relative(own_snapshot);
      std::error_code error;
      if (!fs::exists(fs::symlink_status(link, error))) continue;
      if (fs::path blob = blob_of(link); !blob.empty()) blobs.insert(std::move(blob));
      FLOTILLA_TRY_STATUS(remove_file(link, freed));
      remove_empty_folders(link.parent_path(), folder / "snapshots");
    }
  }
  bool is_last = true;
  for (const fs::path& file : files_below(folder / "snapshots")) {
    is_last = false;
    blobs.erase(blob_of(file));
  }
  for (const fs::path& blob : blobs) FLOTILLA_TRY_STATUS(remove_file(blob, freed));
  if (!is_last) return freed;
  const auto locks = lock_unfinished(model.repository);
  if (!locks && locks.error().code == Code::busy) return freed;
  if (!locks) return fail(locks.error());
  for (const fs::path& rest : files_below(folder / "blobs")) FLOTILLA_TRY_STATUS(remove_file(rest, freed));
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) return disk_error("remove", folder, error.value());
  return freed;
}

std::vector<fs::path> HubCache::unfinished(const std::string& repository) const {
  std::vector<fs::path> files;
  for (const fs::path& file : sorted_entries(repository_folder(repository) / "blobs"))
    if (file.extension() == ".incomplete") files.push_back(file);
  return files;
}

Result<std::vector<Descriptor>> HubCache::lock_unfinished(const std::string& repository) const {
  FLOTILLA_TRY_STATUS(prepare(repository));
  std::vector<Descriptor> locks;
  for (const fs::path& file : unfinished(repository)) {
    FLOTILLA_TRY(Descriptor held, try_lock(repository, file.stem().string()));
    if (!held)
      return fail(Code::busy, "[hub] expected nobody to pull from {} but a pull is under way; stop that first",
                  repository);
    locks.push_back(std::move(held));
  }
  return locks;
}

std::uint64_t HubCache::unfinished_bytes(const std::string& repository) const {
  return bytes_of_all(unfinished(repository));
}

Result<std::uint64_t> HubCache::remove_unfinished(const std::string& repository) const {
  std::uint64_t freed = 0;
  FLOTILLA_TRY(const auto locks, lock_unfinished(repository));
  for (const fs::path& file : unfinished(repository)) FLOTILLA_TRY_STATUS(remove_file(file, freed));
  return freed;
}

}  // namespace flotilla
