#include "hub/catalog.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <format>
#include <set>

#include "base/log.h"
#include "hub/hub_cache.h"
#include "hub/ollama_store.h"
#include "model/excerpt.h"
#include "model/gguf_files.h"
#include "wire/plain_text.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t path_bytes_max = 400;  // of a path in a message

// The *.gguf files of a folder that begin a model, in the order of their names.
std::vector<fs::path> first_parts(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const fs::path& path = it->path();
    if (path.extension() == ".gguf" && parse_split_name(path).number <= 1) paths.push_back(path);
  }
  if (error)
    log(LogLevel::warning, "hub", "the models folder '{}' cannot be read: {}", folder.string(), error.message());
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

Result<Catalog> Catalog::open(std::vector<fs::path> folders, fs::path hub_cache, fs::path ollama) {
  for (const fs::path& folder : folders) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) {
      if (fs::is_regular_file(folder, error))
        return fail(Code::invalid_argument,
                    "[hub] expected a folder of models but '{}' is a file; name its folder, '{}'", folder.string(),
                    folder.has_parent_path() ? folder.parent_path().string() : ".");
      const Code code = error == std::errc::permission_denied ? Code::permission : Code::not_found;
      return fail(code, "[hub] expected a folder of models at '{}' but got {}; make it or name another",
                  folder.string(), error ? error.message() : "no folder");
    }
    if (::faccessat(AT_FDCWD, folder.c_str(), R_OK | X_OK, AT_EACCESS) != 0) {
      return fail(Code::permission,
                  "[hub] expected to read the folder '{}' but the system refused; make it readable for this "
                  "user or name another",
                  folder.string());
    }
  }
  Catalog catalog;
  catalog.folders_ = std::move(folders);
  catalog.hub_cache_ = std::move(hub_cache);
  catalog.ollama_ = std::move(ollama);
  return catalog;
}

std::vector<std::shared_ptr<const Gguf>> Catalog::scan() {
  std::map<fs::path, Entry> fresh;
  std::vector<std::shared_ptr<const Gguf>> models;
  std::set<std::string> names;
  const auto take = [&](const fs::path& path, const std::string& name = {}) {
    auto gguf = load(path, fresh, name);
    if (gguf && names.insert(gguf->name()).second) models.push_back(std::move(gguf));
  };
  for (const fs::path& folder : folders_)
    for (const fs::path& path : first_parts(folder)) take(path);
  for (const CachedModel& model : cached_models(hub_cache_)) take(model.first_file());
  for (const OllamaModel& model : ollama_models(ollama_)) take(model.file, model.name);
  entries_ = std::move(fresh);
  return models;
}

std::shared_ptr<const Gguf> Catalog::load(const fs::path& path, std::map<fs::path, Entry>& fresh,
                                          const std::string& name) {
  const auto known = entries_.find(path);
  Entry entry{.state = state_of(path), .read = true, .gguf = nullptr, .why_skipped = {}};
  const bool same = known != entries_.end() && known->second.state == entry.state;
  if (same && known->second.read) {
    entry = known->second;
  } else if (known != entries_.end() && !same) {
    entry.read = false;
  } else {
    auto gguf = name.empty() ? Gguf::open(path) : Gguf::open_parts({path}, name);
    if (!gguf)
      entry.why_skipped = gguf.error().message;
    else if (is_name((*gguf)->name()))
      entry.gguf = *std::move(gguf);
    else  // other machines would refuse to hear of it, and of everything else with it
      entry.why_skipped = std::format(
          "[hub] expected a name of at most {} bytes of UTF-8 without control characters; rename it", name_bytes_max);
    if (!entry.gguf)
      log(LogLevel::warning, "hub", "'{}' is skipped: {}", excerpt(path.string(), path_bytes_max), entry.why_skipped);
  }
  return (fresh[path] = std::move(entry)).gguf;
}

std::map<fs::path, std::string> Catalog::skipped() const {
  std::map<fs::path, std::string> skipped;
  for (const auto& [path, entry] : entries_)
    if (!entry.why_skipped.empty()) skipped.emplace(path, entry.why_skipped);
  return skipped;
}

Catalog::State Catalog::state_of(const fs::path& first) {
  const SplitName split = parse_split_name(first);
  State state;
  for (std::uint32_t number = 1; number <= std::clamp(split.count, 1u, split_parts_max); ++number) {
    const fs::path path = split.count == 0 ? first : first.parent_path() / part_name(split, number);
    std::error_code no_size, no_time;
    const std::uintmax_t bytes = fs::file_size(path, no_size);
    const auto time = fs::last_write_time(path, no_time);
    state.emplace_back(no_size ? 0 : bytes, no_time ? 0 : time.time_since_epoch().count());
  }
  return state;
}

}  // namespace flotilla
