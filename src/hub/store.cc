#include "hub/store.h"

#include <algorithm>
#include <format>
#include <mutex>
#include <unordered_set>

#include "base/limits.h"
#include "base/log.h"
#include "base/replace_file.h"
#include "base/units.h"
#include "base/words.h"
#include "hub/byte_ranges.h"
#include "hub/catalog.h"
#include "hub/closest_names.h"
#include "hub/disk.h"
#include "hub/part.h"
#include "hub/piece.h"
#include "hub/transfer.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t model_name_bytes_max = 256;

StoredModel stored(std::shared_ptr<const Gguf> gguf, bool complete) {
  StoredModel model{.info = {.name = gguf->name(), .fingerprint = gguf->fingerprint(), .complete = complete},
                    .gguf = gguf,
                    .files = gguf->files()};
  for (const GgufPart& part : gguf->parts()) model.info.file_bytes += part.file_bytes;
  return model;
}

StoredModel stored_part(const Part& part) {
  StoredModel model = stored(part.gguf(), part.missing(all_but_header(*part.gguf())).empty());
  model.is_part = true;
  model.origin = part.origin();
  return model;
}

class FolderStore final : public Store {
 public:
  FolderStore(fs::path parts_folder, Catalog catalog)
      : parts_folder_(std::move(parts_folder)), catalog_(std::move(catalog)) {}

  void open_parts() {
    std::error_code error;
    for (auto it = fs::directory_iterator(parts_folder_, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
      auto part = Part::open(it->path());
      if (part) {
        parts_[(*part)->gguf()->fingerprint()] = *part;
      } else {
        log(LogLevel::warning, "hub", "the part of a model in '{}' is not used: {}", it->path().string(),
            part.error().message);
      }
    }
  }

  void refresh() override {
    const std::scoped_lock scanning(scan_mutex_);
    std::vector<StoredModel> complete;
    for (auto& gguf : catalog_.scan()) complete.push_back(stored(std::move(gguf), true));
    auto skipped = catalog_.skipped();
    const std::scoped_lock lock(mutex_);
    complete_ = std::move(complete);
    skipped_ = std::move(skipped);
    std::erase_if(parts_, [](const auto& part) {  // `flotilla rm` took it away
      std::error_code error;
      return !fs::exists(part.second->folder(), error) && !error;
    });
  }

  std::vector<StoredModel> list() override {
    const std::scoped_lock lock(mutex_);
    std::vector<StoredModel> models = complete_;
    std::unordered_set<std::string> complete;
    for (const StoredModel& model : complete_) complete.insert(model.info.fingerprint);
    for (const auto& [fingerprint, part] : parts_)
      if (!complete.contains(fingerprint)) models.push_back(stored_part(*part));
    return models;
  }

  Result<StoredModel> find(const std::string& model, const std::string& fingerprint) override {
    const auto models = list();
    for (const StoredModel& candidate : models) {
      if (fingerprint.empty() ? candidate.info.name == model : candidate.info.fingerprint == fingerprint)
        return candidate;
    }
    return not_found(model, fingerprint, models);
  }

  std::uint64_t space_left() const override { return bytes_left(parts_folder_).value_or(0); }

  std::string why_skipped(const std::string& model) override {
    const std::scoped_lock lock(mutex_);
    for (const auto& [path, why] : skipped_) {
      const bool meant = !model.empty() && lower_case(path.filename().string()).starts_with(lower_case(model));
      if (meant) return std::format("'{}' is skipped: {}", path.string(), without_room(why));
    }
    return "";
  }

  std::vector<FileRange> missing(const std::string& fingerprint, const std::vector<FileRange>& ranges) override {
    std::shared_ptr<Part> part;
    {
      const std::scoped_lock lock(mutex_);
      if (std::ranges::any_of(complete_, [&](const auto& model) { return model.info.fingerprint == fingerprint; }))
        return {};
      if (const auto found = parts_.find(fingerprint); found != parts_.end()) part = found->second;
    }
    return part ? part->missing(ranges) : ranges;
  }

  Result<StoredModel> fetch_header(Link& link, const std::string& model, const std::string& fingerprint) override {
    if (model.empty() || model.size() > model_name_bytes_max) {
      return fail(Code::invalid_argument, "[hub] expected a model name of 1 to {} bytes but got {}",
                  model_name_bytes_max, model.size());
    }
    if (auto found = find(model, fingerprint)) return found;
    FLOTILLA_TRY(const auto header, request_gguf(link, model, fingerprint));
    FLOTILLA_TRY(const auto part, begin_part(*header));
    return stored_part(*part);
  }

  // One part of a model, however many ask at once; those who only look do not wait for the disk.
  Result<std::shared_ptr<Part>> begin_part(const Gguf& header) override {
    const std::scoped_lock creating(create_mutex_);
    if (auto part = part_of(header.fingerprint())) return part;
    FLOTILLA_TRY(auto part, Part::create(parts_folder_, header));
    const std::scoped_lock lock(mutex_);
    parts_[header.fingerprint()] = part;
    return part;
  }

  std::shared_ptr<Part> part(const std::string& fingerprint) override { return part_of(fingerprint); }

  Status drop_part(const std::string& fingerprint) override {
    const std::scoped_lock creating(create_mutex_);
    std::shared_ptr<Part> part;
    {
      const std::scoped_lock lock(mutex_);
      if (auto found = parts_.extract(fingerprint)) part = std::move(found.mapped());
    }
    std::error_code error;
    if (part) fs::remove_all(part->folder(), error);
    return error ? Status(disk_error("remove", part->folder(), error.value())) : Status{};
  }

  Result<StoredModel> fetch_ranges(Link& link, const StoredModel& model, const std::vector<FileRange>& ranges,
                                   const FetchProgressFn& progress, const std::atomic<bool>& stop) override;
  Status verify(const std::string& fingerprint, const std::vector<FileRange>& ranges) override;
  Status serve(Link& link, const OnOtherFn& on_other) override;

 private:
  std::unexpected<Error> not_found(const std::string& model, const std::string& fingerprint,
                                   const std::vector<StoredModel>& models) const {
    std::string folders, close;
    for (const fs::path& folder : catalog_.folders())
      folders += std::format("{}'{}'", folders.empty() ? "" : ", ", folder.string());
    std::vector<std::string> names;
    for (const StoredModel& candidate : models) names.push_back(candidate.info.name);
    for (const std::string& name : closest_names(model, names))
      close += std::format("{}'{}'", close.empty() ? "" : ", ", name);
    return fail(
        Code::not_found, "[hub] expected model '{}'{} in {} but it is not there{}", model,
        fingerprint.empty() ? "" : std::format(" ({})", fingerprint.substr(0, 12)),
        folders.empty() ? "a models folder" : folders,
        close.empty() ? "; put its .gguf file there, or flotilla pull it" : std::format("; did you mean {}?", close));
  }

  std::shared_ptr<Part> part_of(const std::string& fingerprint) {
    const std::scoped_lock lock(mutex_);
    const auto found = parts_.find(fingerprint);
    return found == parts_.end() ? nullptr : found->second;
  }

  const fs::path parts_folder_;
  std::mutex scan_mutex_;
  Catalog catalog_;          // only under scan_mutex_
  std::mutex create_mutex_;  // taken before mutex_, like scan_mutex_
  std::mutex mutex_;         // held for moments: what follows
  std::vector<StoredModel> complete_;
  std::map<fs::path, std::string> skipped_;             // what the last scan skipped, and why
  std::map<std::string, std::shared_ptr<Part>> parts_;  // by fingerprint
};

Result<StoredModel> FolderStore::fetch_ranges(Link& link, const StoredModel& model,
                                              const std::vector<FileRange>& ranges, const FetchProgressFn& progress,
                                              const std::atomic<bool>& stop) {
  if (!model.is_part) return model;
  const auto part = part_of(model.info.fingerprint);
  if (!part) return fail(Code::not_found, "[hub] expected the header of '{}' to be fetched first", model.info.name);
  for (const FileRange& range : ranges) {
    const auto& parts = part->gguf()->parts();
    if (range.file_index < parts.size() && range.offset <= parts[range.file_index].file_bytes &&
        range.bytes <= parts[range.file_index].file_bytes - range.offset) {
      continue;
    }
    return fail(Code::invalid_argument, "[hub] expected a range within '{}' but got {} bytes at {} of part {}",
                model.info.name, range.bytes, range.offset, range.file_index);
  }
  const auto missing = part->missing(ranges);
  const std::uint64_t total = bytes_in(missing);
  FLOTILLA_TRY_STATUS(check_space(part->folder(), total, std::format("layers of '{}'", model.info.name)));
  std::uint64_t done = 0;
  const auto count = [&](std::uint64_t bytes) {
    done += bytes;
    if (progress) progress(done, total);
  };
  for (const FileRange& piece : in_pieces(missing, transfer_piece_bytes_max)) {
    FLOTILLA_TRY(const Status came, fetch_piece(link, *part, piece, count, stop));
    FLOTILLA_TRY_STATUS(came);
  }
  return stored_part(*part);
}

Status FolderStore::verify(const std::string& fingerprint, const std::vector<FileRange>& ranges) {
  const auto part = part_of(fingerprint);
  if (!part) return {};
  FLOTILLA_TRY(const std::uint64_t forgotten, part->verify(ranges));
  if (forgotten > 0) {
    log(LogLevel::warning, "hub", "{} of '{}' changed on the disk in '{}' and will be fetched again",
        format_bytes(forgotten), part->gguf()->name(), part->folder().string());
  }
  return {};
}

Status FolderStore::serve(Link& link, const OnOtherFn& on_other) {
  const Shelf shelf{
      .find = [this](const std::string& model, const std::string& fingerprint) -> Result<Offer> {
        auto found = find(model, fingerprint);
        if (found) return Offer{.gguf = std::move(found->gguf), .files = std::move(found->files)};
        return fail(Code::not_found, "[hub] expected the name of a model this node has but got '{}'", excerpt(model));
      },
      .has = [this](const Offer& offer,
                    const FileRange& range) { return missing(offer.gguf->fingerprint(), {range}).empty(); }};
  return answer_requests(link, shelf, on_other);
}

}  // namespace

std::vector<FileRange> Store::whole(const StoredModel& model) { return all_but_header(*model.gguf); }

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  FLOTILLA_TRY(auto catalog,
               Catalog::open(std::move(options.folders), std::move(options.hub_cache), std::move(options.ollama)));
  const fs::path parts_folder = options.home / "parts";
  FLOTILLA_TRY_STATUS(make_folder(parts_folder));
  auto store = std::make_unique<FolderStore>(parts_folder, std::move(catalog));
  store->open_parts();
  store->refresh();
  return store;
}

}  // namespace flotilla
