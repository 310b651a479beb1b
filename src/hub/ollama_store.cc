#include "hub/ollama_store.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "hub/disk.h"
#include "hub/model_reference.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t manifest_bytes_max = 1u << 20;
constexpr std::size_t manifests_max = 4096;
constexpr int depth_of_tags = 3;  // HOST/NAMESPACE/MODEL/TAG
constexpr std::string_view model_layer = "application/vnd.ollama.image.model", digest_prefix = "sha256:";

std::vector<fs::path> manifests_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(folder, error);
       !error && it != fs::recursive_directory_iterator() && files.size() < manifests_max; it.increment(error)) {
    std::error_code unknown;
    if (it.depth() >= depth_of_tags) it.disable_recursion_pending();
    if (it.depth() == depth_of_tags && it->is_regular_file(unknown)) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

std::string name_of(const fs::path& manifest) {
  const std::string tag = manifest.filename().string();
  const fs::path model = manifest.parent_path();
  const std::string space = model.parent_path().filename().string();
  const std::string host = model.parent_path().parent_path().filename().string();
  std::string name = model.filename().string();
  if (space != "library") name = space + "/" + name;
  if (host != "registry.ollama.ai") name = host + "/" + name;
  return tag == "latest" ? name : name + ":" + tag;
}

// The digits of the layer that is a model; empty where there is none, or several.
std::string model_digest(const std::string& text) {
  const json manifest = json::parse(text, nullptr, false);
  if (!manifest.is_object() || !manifest.contains("layers") || !manifest["layers"].is_array()) return "";
  std::string found;
  for (const json& layer : manifest["layers"]) {
    if (!layer.is_object() || layer.value("mediaType", json()) != json(model_layer)) continue;
    const json digest = layer.value("digest", json());
    if (!digest.is_string() || !found.empty()) return "";
    found = digest.get<std::string>();
  }
  if (!found.starts_with(digest_prefix)) return "";
  found.erase(0, digest_prefix.size());
  return is_hex(found, sha256_digits) ? found : "";
}

}  // namespace

std::vector<OllamaModel> ollama_models(const fs::path& folder) {
  std::vector<OllamaModel> models;
  if (folder.empty()) return models;
  for (const fs::path& manifest : manifests_below(folder / "manifests")) {
    const auto text = read_text(manifest, manifest_bytes_max);
    const std::string digest = text ? model_digest(*text) : "";
    const fs::path blob = folder / "blobs" / ("sha256-" + digest);
    std::error_code error;
    // Two tags of one file are one model here.
    const bool is_new = std::ranges::find(models, blob, &OllamaModel::file) == models.end();
    if (!digest.empty() && is_new && fs::is_regular_file(blob, error))
      models.push_back({.name = name_of(manifest), .file = blob});
  }
  return models;
}

fs::path ollama_folder() {
  if (const char* named = std::getenv("OLLAMA_MODELS"); named && *named) return named;
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".ollama/models" : fs::path();
}

}  // namespace flotilla
