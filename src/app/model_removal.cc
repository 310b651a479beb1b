#include "app/model_removal.h"

#include <sys/stat.h>

#include <format>
#include <memory>
#include <vector>

#include "base/replace_file.h"
#include "base/units.h"
#include "base/words.h"
#include "hub/cached_choice.h"
#include "hub/hub_cache.h"
#include "hub/hub_settings.h"
#include "hub/model_reference.h"
#include "hub/origin.h"
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
          .repository = {},
          .remove = [files = model.files]() -> Result<std::uint64_t> {
            for (const fs::path& file : files) {
              std::error_code error;
              if (fs::is_symlink(file, error) && !fs::remove(file, error))
                return disk_error("remove", file, error.value());
            }
            return std::uint64_t{0};
          }};
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

std::vector<std::shared_ptr<Part>> parts_in(const fs::path& folder) {
  std::vector<std::shared_ptr<Part>> parts;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    if (auto part = Part::open(it->path())) parts.push_back(*std::move(part));
  return parts;
}

// Null where none is meant; an error where several may be.
Result<std::shared_ptr<Part>> choose_part(const std::vector<std::shared_ptr<Part>>& parts, const std::string& typed) {
  for (const auto& part : parts)
    if (part->gguf()->name() == typed) return part;
  const auto reference = parse_model_reference(typed);
  if (!reference) return nullptr;
  std::vector<HubOrigin> origins;
  for (const auto& part : parts) origins.push_back(part->origin());
  const auto origin = choose_origin(origins, *reference);
  if (!origin && origin.error().code == Code::not_found && !reference->quant.empty()) return nullptr;
  if (!origin) return fail(origin.error());
  for (const auto& part : parts)
    if (*origin && part->origin() == **origin) return part;
  return nullptr;
}

Removal removal_of_part(const Part& part) {
  const std::uint64_t bytes = blocks_bytes(part.files());
  return {.name = part.gguf()->name(),
          .what = std::format("{} of its layers in {}", format_bytes(bytes), part.folder().string()),
          .repository = {},
          .remove = [folder = part.folder(), bytes]() -> Result<std::uint64_t> {
            std::error_code failed;
            fs::remove_all(folder, failed);
            if (failed) return disk_error("remove", folder, failed.value());
            return bytes;
          }};
}

}  // namespace

Result<Removal> find_removal(const fs::path& home, const std::string& typed) {
  const fs::path cache = hub_cache_folder();
  const auto cached = choose_cached(cached_models(cache), typed);
  if (cached)
    return Removal{.name = cached->name,
                   .what = std::format("{} of {} in {}", format_bytes(bytes_of_all(cached->files)), cached->repository,
                                       cache.string()),
                   .repository = cached->repository,
                   .remove = [model = *cached, cache] { return HubCache(cache).remove(model); }};
  if (cached.error().code != Code::not_found) return fail(cached.error());
  if (const auto linked = choose_cached(linked_models(home / "models"), typed)) return removal_of_link(*linked);
  FLOTILLA_TRY(const auto part, choose_part(parts_in(home / "parts"), typed));
  if (part) return removal_of_part(*part);
  if (const auto reference = parse_model_reference(typed); reference && !reference->repository.empty())
    if (const HubCache hub(cache); hub.unfinished_bytes(reference->repository) > 0)
      return Removal{
          .name = reference->repository,
          .what = std::format("{} of an unfinished pull", format_bytes(hub.unfinished_bytes(reference->repository))),
          .repository = reference->repository,
          .remove = [hub, name = reference->repository] { return hub.remove_unfinished(name); }};
  Error error = cached.error();
  error.message += "; models in folders of your own (--models) are yours to remove";
  return fail(std::move(error));
}

}  // namespace flotilla
