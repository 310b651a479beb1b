#include "hub/origin.h"

#include <algorithm>
#include <filesystem>

#include "base/words.h"
#include "hub/file_choice.h"
#include "hub/hub_limits.h"
#include "model/excerpt.h"
#include "model/gguf_files.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view ollama_prefix = "sha256-";

std::unexpected<Error> no(std::string_view expected, const std::string& got) {
  return fail(Code::corrupt, "[hub] expected {} where a model comes from but got '{}'", expected, excerpt(got));
}

// Of a file in the hub's cache, or in Ollama's; empty elsewhere.
std::string recorded_hash(const fs::path& file) {
  std::error_code error;
  std::string name = file.filename().string();
  if (name.starts_with(ollama_prefix))
    name.erase(0, ollama_prefix.size());
  else
    name = fs::read_symlink(file, error).filename().string();
  return is_hex(name, sha256_digits) ? name : "";
}

}  // namespace

Status check_origin(const HubOrigin& origin) {
  if (!is_repository(origin.repository)) return no("a repository", origin.repository);
  if (!is_hex(origin.commit, commit_digits)) return no("a commit", origin.commit);
  if (origin.files.empty() || origin.files.size() > split_parts_max)
    return no("1 to 512 files", std::to_string(origin.files.size()));
  for (const HubFile& file : origin.files) {
    if (!is_inner_path(file.path) || !file.path.ends_with(".gguf")) return no("a path of a GGUF file", file.path);
    if (!is_hex(file.sha256, sha256_digits)) return no("a SHA-256", file.sha256);
    if (file.bytes == 0 || file.bytes > hub_limits::file_bytes_max)
      return no("a size that a file can have", std::to_string(file.bytes));
  }
  return {};
}

bool is_of(const StoredModel& model, const HubOrigin& origin) {
  if (model.is_part)
    return std::ranges::equal(model.origin.files, origin.files, {}, &HubFile::sha256, &HubFile::sha256);
  return std::ranges::equal(model.files, origin.files, {}, recorded_hash, &HubFile::sha256);
}

Result<std::optional<HubOrigin>> choose_origin(const std::vector<HubOrigin>& origins, const ModelReference& reference) {
  std::vector<HubFile> listing;
  for (const HubOrigin& origin : origins)
    if (origin.is_known() && lower_case(origin.repository) == lower_case(reference.repository))
      listing.insert(listing.end(), origin.files.begin(), origin.files.end());
  if (listing.empty()) return std::nullopt;
  FLOTILLA_TRY(const auto files, choose_files(listing, reference.repository, reference.quant));
  const auto found = std::ranges::find_if(
      origins, [&](const HubOrigin& origin) { return origin.is_known() && origin.files.front() == files.front(); });
  return found != origins.end() ? std::optional(*found) : std::nullopt;
}

}  // namespace flotilla
