// Decides what of a hub's repository a model is, and brings it here whole: into the cache shared with Hugging Face's
// tools (hub_cache.h), checked by length and SHA-256 while it comes. In: a ModelReference.  Out: files that `flotilla
// list` finds.  Thread: one; blocks.  Never: writes outside the cache, leaves a file under its final name that is not
// the one that was announced, asks the network where HF_HUB_OFFLINE is set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub_cache.h"
#include "hub/hub_client.h"
#include "hub/hub_limits.h"
#include "hub/hub_settings.h"
#include "hub/model_reference.h"

namespace flotilla {

struct PullOrder {
  ModelReference model;  // of a repository
  std::string revision = "main";
  HubSettings settings;
  unsigned tries = hub_limits::tries_default;  // in a row without a new byte
};

struct PulledModel {
  std::string name;  // as `flotilla list` shows it
  std::string repository, commit;
  std::vector<std::filesystem::path> files;    // the parts in order, as links of a snapshot
  std::uint64_t bytes = 0, fetched_bytes = 0;  // 0 of them where it was here already
};

// Errors as of HubClient, and: no_space, permission (the disk), corrupt (a hash), cancelled (by the watch; the same
// order then goes on where it stopped).
Result<PulledModel> pull_model(const PullOrder& order, const PullWatch& watch);

// Rereads every file of a model and compares its hash with the one by whose name the cache keeps it.
struct VerifiedModel {
  std::vector<std::filesystem::path> damaged;  // their bytes changed, or are gone
  std::vector<std::filesystem::path> unknown;  // kept by no SHA-256: nothing to compare with
  std::uint64_t bytes = 0;
};
Result<VerifiedModel> verify_model(const CachedModel& model, const PullWatch& watch);

}  // namespace flotilla
