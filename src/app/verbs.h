// The client verbs: ask a node over its API and print the answer, as a table for people or as JSON for scripts.
// Each returns the process's exit code: 0 done, 1 failed, 3 no node answers (or another program does).
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace flotilla {

struct VerbOptions {
  std::string api_url;
  std::string key;             // empty: none was given (client_key.h)
  std::filesystem::path home;  // of this machine's node
  bool json = false;
};

struct LoadWishes {
  std::string model;
  std::vector<std::string> nodes;
  std::vector<std::uint32_t> layers;
  std::string mode = "auto";
  std::uint32_t context_tokens = 0, sequences = 0;
};

int list_models(const VerbOptions& options);
int list_placements(const VerbOptions& options);  // ps
int list_nodes(const VerbOptions& options);
int show_model(const VerbOptions& options, const std::string& model);
int show_plan(const VerbOptions& options, const LoadWishes& wishes);
int load_model(const VerbOptions& options, const LoadWishes& wishes);
int unload_model(const VerbOptions& options, const std::string& model);

// Of one entry of GET /placements: "predicted 92 tok/s, measured 88"; what is not known is left out.
std::string speed_text(const nlohmann::json& placement);

// Prints the message and what to do on stderr and gives the exit code.
int report(const Error& error);

}  // namespace flotilla
