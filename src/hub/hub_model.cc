#include "hub/hub_model.h"

#include <algorithm>
#include <format>
#include <optional>

#include "base/limits.h"
#include "base/units.h"
#include "base/words.h"
#include "hub/file_choice.h"
#include "hub/origin.h"
#include "hub/part.h"
#include "model/excerpt.h"
#include "model/gguf_files.h"
#include "model/gguf_header.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

// What is read beyond a header's end is kept, but may be bytes that another machine will hold: so in small steps.
constexpr std::uint64_t first_bytes = 1u << 20, step_bytes = 512u << 10, large_step_bytes = 2u << 20;
constexpr std::uint64_t large_from_bytes = 8u << 20;
constexpr std::uint64_t rest_bytes_max = 64u << 20;  // of all files, held until all headers are here

// The first bytes of a file, in memory.
class Beginning final : public ByteSink {
 public:
  std::uint64_t offset() const override { return bytes.size(); }
  Status restart() override { return bytes.clear(), Status{}; }
  Status add(std::span<const std::byte> more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
  Bytes bytes;
};

std::uint64_t next_want(std::uint64_t want, std::uint64_t bytes_max) {
  return std::min(bytes_max, want + (want < large_from_bytes ? step_bytes : large_step_bytes));
}

struct FetchedHeader {
  GgufPart part;
  Bytes rest;  // what came behind it
};

Result<FetchedHeader> fetch_header(HubClient& client, const FilePlace& place) {
  const std::uint64_t bytes_max = std::min<std::uint64_t>(place.file.bytes, limits::header_bytes_max);
  Beginning beginning;
  for (std::uint64_t want = std::min(bytes_max, first_bytes);;) {
    FLOTILLA_TRY_STATUS(client.fetch_range(place, want, beginning));
    FLOTILLA_TRY(const auto length, measure_gguf_header(beginning.bytes, place.file.path));
    if (length.complete) {
      const auto end = beginning.bytes.begin() + static_cast<std::ptrdiff_t>(length.header_bytes);
      return FetchedHeader{.part = {.header = Bytes(beginning.bytes.begin(), end), .file_bytes = place.file.bytes},
                           .rest = Bytes(end, beginning.bytes.end())};
    }
    if (want == bytes_max)
      return fail(Code::corrupt,
                  "[hub] expected the header of '{}' in {} to end but it goes on after {}; it is no model",
                  excerpt(place.file.path), place.repository, format_bytes(want));
    want = next_want(want, bytes_max);
  }
}

// Bytes that came along are bytes that need not come again.
Status keep(Part& part, std::uint32_t file_index, std::uint64_t offset, const Bytes& bytes) {
  const FileRange range{.file_index = file_index, .offset = offset, .bytes = bytes.size()};
  if (bytes.empty() || part.missing({range}) != std::vector{range}) return {};
  FLOTILLA_TRY(auto file, DiskFile::open_to_write(part.files()[file_index]));
  FLOTILLA_TRY_STATUS(file.write(offset, bytes));
  FLOTILLA_TRY_STATUS(file.sync());
  return part.add(range, sha256(bytes), true);
}

std::optional<StoredModel> known(Store& store, const HubOrigin& origin) {
  for (StoredModel& model : store.list())
    if (is_of(model, origin)) return std::move(model);
  return std::nullopt;
}

// A part whose origin the reference means.
Result<StoredModel> remembered(Store& store, const ModelReference& reference, const Error& cause) {
  std::vector<HubOrigin> origins;
  for (const StoredModel& model : store.list()) origins.push_back(model.origin);
  FLOTILLA_TRY(const auto origin, choose_origin(origins, reference));
  if (origin)
    if (auto model = known(store, *origin)) return *std::move(model);
  return fail(cause);
}

Result<StoredModel> begin(Store& store, HubClient& client, const HubOrigin& origin) {
  std::vector<GgufPart> parts;
  std::vector<Bytes> rests;
  std::uint64_t header_bytes = 0, rest_bytes = 0;
  for (const HubFile& file : origin.files) {
    const FilePlace place{.repository = origin.repository, .commit = origin.commit, .file = file};
    FLOTILLA_TRY(auto header, fetch_header(client, place));
    header_bytes += header.part.header.size();
    if (header_bytes > limits::header_bytes_max)
      return fail(Code::too_large, "[hub] expected headers of at most {} in {} but there is more",
                  format_bytes(limits::header_bytes_max), origin.repository);
    rest_bytes += header.rest.size();
    if (rest_bytes > rest_bytes_max) header.rest = {};
    parts.push_back(std::move(header.part));
    rests.push_back(std::move(header.rest));
  }
  const std::string name = parse_split_name(fs::path(origin.files.front().path)).stem;
  FLOTILLA_TRY(const auto gguf, Gguf::parse(parts, name));
  FLOTILLA_TRY(const auto part, store.begin_part(*gguf));
  FLOTILLA_TRY_STATUS(part->set_origin(origin));
  for (std::uint32_t i = 0; i < rests.size(); ++i)
    FLOTILLA_TRY_STATUS(keep(*part, i, parts[i].header.size(), rests[i]));
  return store.find(name, gguf->fingerprint());
}

}  // namespace

std::uint64_t header_read_bytes(std::uint64_t header_bytes, std::uint64_t file_bytes) {
  const std::uint64_t bytes_max = std::min<std::uint64_t>(file_bytes, limits::header_bytes_max);
  std::uint64_t want = std::min(bytes_max, first_bytes);
  while (want < header_bytes && want < bytes_max) want = next_want(want, bytes_max);
  return want;
}

Result<HubOrigin> find_origin(HubClient& client, const ModelReference& model, const std::string& revision) {
  HubOrigin origin{.repository = model.repository};
  FLOTILLA_TRY(origin.commit, client.commit_of(model.repository, revision));
  FLOTILLA_TRY(const auto listing, client.list(model.repository, origin.commit));
  FLOTILLA_TRY(origin.files, choose_files(listing, model.repository, model.quant));
  for (const HubFile& file : origin.files)
    if (file.sha256.empty())
      return fail(Code::unsupported,
                  "[hub] expected the SHA-256 of '{}' in {} but the hub does not say it, so nothing could be checked; "
                  "choose another repository",
                  excerpt(file.path), model.repository);
  FLOTILLA_TRY_STATUS(check_origin(origin));
  return origin;
}

Result<StoredModel> find_hub_model(Store& store, const HubModelOrder& order, const PullWatch& watch) {
  if (order.settings.offline)
    return remembered(
        store, order.model,
        {Code::unavailable, std::format("[hub] expected to ask {} for {} but HF_HUB_OFFLINE is set; unset it",
                                        order.settings.endpoint, order.model.repository)});
  HubClient client(order.settings, order.tries, watch);
  const auto origin = find_origin(client, order.model, "main");
  const bool no_answer = !origin && (origin.error().code == Code::closed || origin.error().code == Code::timeout);
  if (no_answer) return remembered(store, order.model, origin.error());
  if (!origin) return fail(origin.error());
  if (auto model = known(store, *origin)) return *std::move(model);
  return begin(store, client, *origin);
}

}  // namespace flotilla
