// Models that Ollama has pulled on this machine, read where they lie and never written: $OLLAMA_MODELS, else
// ~/.ollama/models. Thread: any; reads folders and small files.
//
//   manifests/HOST/NAMESPACE/MODEL/TAG    JSON that names layers; one is the model's GGUF file
//   blobs/sha256-HEX                      their bytes
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flotilla {

struct OllamaModel {
  std::string name;  // "MODEL:TAG", "MODEL" where the tag is latest; of others' with what stands before
  std::filesystem::path file;
};

// By name. A manifest that is none, or names something else than a blob, is passed over.
std::vector<OllamaModel> ollama_models(const std::filesystem::path& folder);

std::filesystem::path ollama_folder();  // empty where this user has no home

}  // namespace flotilla
