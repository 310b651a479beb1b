#include "app/model_removal.h"

#include <sys/stat.h>

#include <format>
#include <optional>
#include <vector>

#include "base/replace_file.h"
#include "base/units.h"
#include "base/words.h"
#include "hub/cached_choice.h"
#include "hub/file_choice.h"
#include "hub/hub_cache.h"
#include "hub/hub_settings.h"
#include "hub/model_reference.h"
#include "hub/part.h"
#include "model/gguf_files.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

// Links that `pull file:PATH` made, which are no more than that.
std::vector<CachedModel> linked_models(const fs::path& models) {
  std::vector<CachedModel> linked;
  std::error_code error;
  for (auto it = fs::directory_iterator(models, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const SplitName split = parse_split_name(it->path());
    std::error_code unknown;
    if (it->path().extension() != ".gguf" || split.number > 1 || !it->is_symlink(unknown)) continue;
    CachedModel model{.name = split.stem, .repository = {}, .files = {it->path()}};
    for (std::uint32_t number = 2; number <= std::min(split.count, split_parts_max); ++number)
      model.files.push_back(models / part_name(split, number));
    linked.push_back(std::move(model));
  }
  return linked;
}

Removal removal_of_link(const CachedModel& model) {
  return {.name = model.name,
          .what = std::format("the link {}; the file that it names stays", model.first_file().string()),
          .remove = [files = model.files]() -> Result<std::uint64_t> {
            for (const fs::path& file : files) {
              std::error_code error;
              if (fs::is_symlink(file, error) && !fs::remove(file, error))
                return disk_error("remove", file, error.value());
            }
            return std::uint64_t{0};
          }};
}

bool is_meant(const Part& part, const std::string& typed) {
  if (part.gguf()->name() == typed) return true;
  const auto reference = parse_model_reference(typed);
  const HubOrigin origin = part.origin();
  if (!reference || lower_case(reference->repository) != lower_case(origin.repository) || !origin.is_known())
    return false;
  return choose_files(origin.files, origin.repository, reference->quant).has_value();
}

// What the disk gives to sparse files, which is less than their size.
std::uint64_t blocks_bytes(const std::vector<fs::path>& files) {
  constexpr std::uint64_t block_bytes = 512;  // of st_blocks, whatever the disk's are
  std::uint64_t bytes = 0;
  for (const fs::path& file : files)
    if (struct stat status{}; ::stat(file.c_str(), &status) == 0)
      bytes += static_cast<std::uint64_t>(status.st_blocks) * block_bytes;
  return bytes;
}

std::optional<Removal> removal_of_part(const fs::path& parts, const std::string& typed) {
  std::error_code error;
  for (auto it = fs::directory_iterator(parts, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const auto part = Part::open(it->path());
    if (!part || !is_meant(**part, typed)) continue;
    const std::uint64_t bytes = blocks_bytes((*part)->files());
    return Removal{.name = (*part)->gguf()->name(),
                   .what = std::format("{} of its layers in {}", format_bytes(bytes), it->path().string()),
                   .remove = [folder = it->path(), bytes]() -> Result<std::uint64_t> {
                     std::error_code failed;
                     fs::remove_all(folder, failed);
                     if (failed) return disk_error("remove", folder, failed.value());
                     return bytes;
                   }};
  }
  return std::nullopt;
}

}  // namespace

Result<Removal> find_removal(const fs::path& home, const std::string& typed) {
  const fs::path cache = hub_cache_folder();
  const auto cached = choose_cached(cached_models(cache), typed);
  if (cached)
    return Removal{.name = cached->name,
                   .what = std::format("{} of {} in {}", format_bytes(bytes_of_all(cached->files)), cached->repository,
                                       cache.string()),
                   .remove = [model = *cached, cache] { return HubCache(cache).remove(model); }};
  if (cached.error().code != Code::not_found) return fail(cached.error());
  if (const auto linked = choose_cached(linked_models(home / "models"), typed)) return removal_of_link(*linked);
  if (auto part = removal_of_part(home / "parts", typed)) return *std::move(part);
  if (const auto reference = parse_model_reference(typed); reference && !reference->repository.empty())
    if (const HubCache hub(cache); hub.unfinished_bytes(reference->repository) > 0)
      return Removal{
          .name = reference->repository,
          .what = std::format("{} of an unfinished pull", format_bytes(hub.unfinished_bytes(reference->repository))),
          .remove = [hub, name = reference->repository] { return hub.remove_unfinished(name); }};
  Error error = cached.error();
  error.message += "; models in folders of your own (--models) are yours to remove";
  return fail(std::move(error));
}

}  // namespace flotilla
