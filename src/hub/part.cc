#include "hub/part.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/replace_file.h"
#include "hub/origin.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t index_bytes_max = 64u << 20;  // 400 GB in the 16 MiB pieces of copies have one of 5 MiB
constexpr std::size_t name_bytes_max = 256;

bool meets(const FileRange& a, const FileRange& b) {
  return a.file_index == b.file_index && a.offset < end_of(b) && b.offset < end_of(a);
}

bool meets_any(const FileRange& range, const std::vector<KeptRange>& kept) {
  return std::ranges::any_of(kept, [&](const KeptRange& have) { return meets(range, have.range); });
}

bool before(const FileRange& a, const FileRange& b) {
  return std::pair(a.file_index, a.offset) < std::pair(b.file_index, b.offset);
}

std::vector<fs::path> numbered_files(const fs::path& folder, std::size_t count) {
  std::vector<fs::path> files;
  for (std::size_t i = 0; i < count; ++i) files.push_back(folder / (std::to_string(i) + ".gguf"));
  return files;
}

std::uint64_t unsigned_at(const json& object, const char* key) {
  const json& value = object.at(key);
  if (!value.is_number_unsigned()) throw std::invalid_argument(std::string(key) + " is not a whole number");
  return value.get<std::uint64_t>();
}

struct IndexHead {
  std::string name;
  std::size_t file_count = 0;
};

// json throws; this file is its adapter.
Result<IndexHead> read_index_head(std::string_view text, const fs::path& folder) {
  try {
    const json index = json::parse(text);
    IndexHead head{.name = index.at("name").get<std::string>(), .file_count = index.at("files").size()};
    if (head.name.size() <= name_bytes_max && head.file_count > 0 && head.file_count <= 512) return head;
    return fail(Code::corrupt, "[hub] expected a name and 1 to 512 files in '{}/ranges.json'", folder.string());
  } catch (const std::exception& e) {
    return fail(Code::corrupt, "[hub] expected an index in '{}/ranges.json' but got: {}", folder.string(), e.what());
  }
}

json origin_json(const HubOrigin& origin) {
  json files = json::array();
  for (const HubFile& file : origin.files)
    files.push_back({{"path", file.path}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"repository", origin.repository}, {"commit", origin.commit}, {"files", files}};
}

// What is damaged is as good as none: the next load by the hub's name brings it again.
HubOrigin read_origin(const json& written, const Gguf& gguf) {
  HubOrigin origin{.repository = written.at("repository").get<std::string>(),
                   .commit = written.at("commit").get<std::string>()};
  for (const json& file : written.at("files"))
    origin.files.push_back({.path = file.at("path").get<std::string>(),
                            .bytes = unsigned_at(file, "bytes"),
                            .sha256 = file.at("sha256").get<std::string>()});
  const bool fits = std::ranges::equal(origin.files, gguf.parts(), {}, &HubFile::bytes, &GgufPart::file_bytes);
  return fits && check_origin(origin) ? origin : HubOrigin{};
}

}  // namespace

FileRanges all_but_header(const Gguf& gguf) {
  FileRanges ranges;
  for (std::uint32_t index = 0; const GgufPart& part : gguf.parts()) {
    const std::uint64_t begin = part.header.size();
    ranges.push_back({.file_index = index++, .offset = begin, .bytes = part.file_bytes - begin});
  }
  return merged(std::move(ranges));
}

Result<std::shared_ptr<Part>> Part::create(const fs::path& parts_folder, const Gguf& header) {
  const fs::path folder = parts_folder / header.fingerprint();
  std::uint64_t header_bytes = 0;
  for (const GgufPart& part : header.parts()) header_bytes += part.header.size();
  FLOTILLA_TRY_STATUS(make_folder(folder));
  FLOTILLA_TRY_STATUS(check_space(folder, header_bytes, std::format("the header of '{}'", header.name())));
  auto files = numbered_files(folder, header.parts().size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    FLOTILLA_TRY(auto file, DiskFile::open_to_write(files[i]));
    FLOTILLA_TRY_STATUS(file.set_size(header.parts()[i].file_bytes));
    FLOTILLA_TRY_STATUS(file.write(0, header.parts()[i].header));
    FLOTILLA_TRY_STATUS(file.sync());
  }
  FLOTILLA_TRY(auto gguf, Gguf::open_parts(std::move(files), header.name()));
  std::shared_ptr<Part> part(new Part(folder, std::move(gguf)));
  FLOTILLA_TRY_STATUS(part->save_index({}, {}));
  return part;
}

Result<std::shared_ptr<Part>> Part::open(const fs::path& folder) {
  FLOTILLA_TRY(const std::string text, read_text(folder / "ranges.json", index_bytes_max));
  FLOTILLA_TRY(auto head, read_index_head(text, folder));
  FLOTILLA_TRY(auto gguf, Gguf::open_parts(numbered_files(folder, head.file_count), std::move(head.name)));
  if (gguf->fingerprint() != folder.filename().string()) {
    return fail(Code::corrupt, "[hub] expected the header of model {} in '{}' but got that of {}; delete the folder",
                folder.filename().string(), folder.string(), gguf->fingerprint());
  }
  std::shared_ptr<Part> part(new Part(folder, std::move(gguf)));
  FLOTILLA_TRY_STATUS(part->load_index(text));
  return part;
}

FileRanges Part::missing(const FileRanges& ranges) const {
  FileRanges have;
  {
    const std::scoped_lock lock(mutex_);
    for (const KeptRange& kept : verified_) have.push_back(kept.range);
  }
  return without(ranges, have);
}

void Part::set_verified(std::vector<KeptRange> verified) {
  const std::scoped_lock lock(mutex_);
  verified_ = std::move(verified);
}

// Whoever holds saving_ reads without mutex_: nobody else changes anything.
Status Part::add(const FileRange& range, const Digest& digest, bool from_hub) {
  const std::scoped_lock saving(saving_);
  // Two fetches of the same range at once: the first has counted it.
  if (meets_any(range, verified_)) return {};
  std::vector<KeptRange> verified = verified_;
  verified.push_back({.range = range, .sha256 = to_hex(digest), .from_hub = from_hub});
  std::ranges::sort(verified, before, &KeptRange::range);
  FLOTILLA_TRY_STATUS(save_index(verified, origin_));
  set_verified(std::move(verified));
  return {};
}

std::vector<KeptRange> Part::kept(const std::vector<FileRange>& ranges) const {
  const std::scoped_lock lock(mutex_);
  std::vector<KeptRange> kept;
  for (const KeptRange& have : verified_)
    if (std::ranges::any_of(ranges, [&](const FileRange& range) { return meets(range, have.range); }))
      kept.push_back(have);
  return kept;
}

Status Part::forget(const std::vector<FileRange>& ranges) {
  const std::scoped_lock saving(saving_);
  std::vector<KeptRange> left;
  for (const KeptRange& have : verified_)
    if (std::ranges::none_of(ranges, [&](const FileRange& range) { return meets(range, have.range); }))
      left.push_back(have);
  FLOTILLA_TRY_STATUS(save_index(left, origin_));
  set_verified(std::move(left));
  return {};
}

HubOrigin Part::origin() const {
  const std::scoped_lock lock(mutex_);
  return origin_;
}

Status Part::set_origin(const HubOrigin& origin) {
  FLOTILLA_TRY_STATUS(check_origin(origin));
  const bool fits = std::ranges::equal(origin.files, gguf_->parts(), {}, &HubFile::bytes, &GgufPart::file_bytes);
  if (!fits)
    return fail(Code::invalid_argument, "[hub] expected the files of '{}' at {} but they have other sizes",
                gguf_->name(), origin.repository);
  const std::scoped_lock saving(saving_);
  if (origin_ == origin) return {};
  FLOTILLA_TRY_STATUS(save_index(verified_, origin));
  const std::scoped_lock lock(mutex_);
  origin_ = origin;
  return {};
}

Result<std::uint64_t> Part::verify(const std::vector<FileRange>& ranges) {
  std::vector<KeptRange> before_us;
  {
    const std::scoped_lock lock(mutex_);
    before_us = verified_;
  }
  std::vector<KeptRange> changed;
  std::uint64_t changed_bytes = 0;
  for (const KeptRange& have : before_us) {
    const bool asked =
        ranges.empty() || std::ranges::any_of(ranges, [&](const FileRange& r) { return meets(r, have.range); });
    if (!asked) continue;
    FLOTILLA_TRY(const Digest digest, hash_range(files()[have.range.file_index], have.range.offset, have.range.bytes));
    if (to_hex(digest) == have.sha256) continue;
    changed.push_back(have);
    changed_bytes += have.range.bytes;
  }
  if (changed.empty()) return 0;
  const std::scoped_lock saving(saving_);
  std::vector<KeptRange> left = verified_;
  std::erase_if(left, [&](const KeptRange& have) { return std::ranges::contains(changed, have); });
  set_verified(left);  // wrong bytes are given to nobody, whether the disk takes the index or not
  FLOTILLA_TRY_STATUS(save_index(left, origin_));
  return changed_bytes;
}

// A damaged entry is left out rather than the whole index: its bytes are fetched again.
Status Part::load_index(std::string_view text) {
  try {
    const json index = json::parse(text);
    for (const json& entry : index.at("ranges")) {
      const FileRange range{
          .file_index = static_cast<std::uint32_t>(std::min<std::uint64_t>(unsigned_at(entry, "file"), UINT32_MAX)),
          .offset = unsigned_at(entry, "offset"),
          .bytes = unsigned_at(entry, "bytes")};
      const auto digest = from_hex(entry.at("sha256").get<std::string>());
      const bool in_file = range.file_index < gguf_->parts().size() && range.bytes > 0 &&
                           range.offset <= gguf_->parts()[range.file_index].file_bytes &&
                           range.bytes <= gguf_->parts()[range.file_index].file_bytes - range.offset;
      if (!in_file || !digest || digest->size() != sizeof(Digest) || meets_any(range, verified_)) {
        log(LogLevel::warning, "hub", "an entry of '{}/ranges.json' makes no sense and is left out", folder_.string());
        continue;
      }
      verified_.push_back({.range = range, .sha256 = to_hex(*digest), .from_hub = entry.value("from_hub", false)});
      std::ranges::sort(verified_, before, &KeptRange::range);
    }
    if (index.contains("origin")) origin_ = read_origin(index["origin"], *gguf_);
  } catch (const std::exception& e) {
    return fail(Code::corrupt, "[hub] expected an index in '{}/ranges.json' but got: {}", folder_.string(), e.what());
  }
  return {};
}

Status Part::save_index(const std::vector<KeptRange>& verified, const HubOrigin& origin) const {
  json index = {{"name", gguf_->name()}, {"files", json::array()}, {"ranges", json::array()}};
  for (const GgufPart& part : gguf_->parts()) index["files"].push_back({{"bytes", part.file_bytes}});
  for (const KeptRange& have : verified) {
    index["ranges"].push_back({{"file", have.range.file_index},
                               {"offset", have.range.offset},
                               {"bytes", have.range.bytes},
                               {"sha256", have.sha256},
                               {"from_hub", have.from_hub}});
  }
  if (origin.is_known()) index["origin"] = origin_json(origin);
  // A name that is not UTF-8 is written with replacement marks: it is for people.
  return replace_file(folder_ / "ranges.json", index.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

Result<Digest> hash_range(const fs::path& path, std::uint64_t offset, std::uint64_t bytes) {
  FLOTILLA_TRY(const auto file, DiskFile::open_to_read(path));
  Bytes buffer(std::min<std::uint64_t>(bytes, limits::bulk_chunk_bytes));
  Sha256 hash;
  while (bytes > 0) {
    const auto piece = std::span(buffer).first(std::min<std::uint64_t>(bytes, buffer.size()));
    FLOTILLA_TRY_STATUS(file.read(offset, piece));
    hash.add(piece);
    offset += piece.size();
    bytes -= piece.size();
  }
  return hash.finish();
}

}  // namespace flotilla
