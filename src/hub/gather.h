// Decides from where each byte of a stage comes, and brings it: from another machine that has it verified, else from
// the hub where it is this machine's to fetch, else it waits for the machine whose it is (docs/hub.md, "A part of a
// model"). In: what is wanted, and of that what is to be fetched here.  Out: verified ranges of a part; at last, where
// these are all of the file, a model in the hub's cache.  Thread: one; blocks.  Never: asks the hub for a byte that is
// here or at a neighbour, calls a file whole whose SHA-256 is not that of the hub's listing.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/byte_ranges.h"
#include "hub/hub_cache.h"
#include "hub/hub_limits.h"
#include "hub/hub_settings.h"
#include "hub/part.h"
#include "hub/store.h"
#include "io/link.h"

namespace flotilla {

// Another machine that has, or will have, bytes of the same model.
struct Neighbour {
  std::string name;
  bool is_whole = false;  // has all of it: what it says is believed
  std::function<Result<std::unique_ptr<Link>>()> connect;
};

struct GatherOrder {
  std::shared_ptr<Part> part = {};  // with its origin
  FileRanges wanted = {};
  FileRanges downloads = {};  // what of it this machine fetches from the hub where no neighbour has it
  std::vector<Neighbour> neighbours = {};
  std::function<Result<HubSettings>()> settings = {};  // asked once the hub is needed
  unsigned tries = hub_limits::tries_default;
  FetchProgressFn progress = {};
  std::function<void(const std::string& sentence)> on_note = {};
};

struct Gathered {
  std::uint64_t hub_bytes = 0, neighbour_bytes = 0;
};

// What a stage with these layers keeps of a model that comes from a hub. Who needs all of it keeps the few bytes
// between tensors too, so that the whole file's hash can be compared.
FileRanges stage_keeps(const Gguf& gguf, LayerRange layers, bool is_head);

// Until all that is wanted is here. What was verified stays after any failure, and is not fetched again. Errors as of
// HubClient and request_range(), and: unavailable (HF_HUB_OFFLINE), no_space, corrupt (machines that contradict each
// other, and the hub with them), cancelled.
Result<Gathered> gather(const GatherOrder& order, const std::atomic<bool>& stop);

// Every byte of the part is here: compares each file with the SHA-256 of the listing. corrupt names the file; then all
// of the part's ranges are forgotten.
Status check_whole(Part& part, const std::atomic<bool>& stop);

// After check_whole(): the files become those of a model in the cache, by links, and the part goes. A cache on another
// disk keeps the part as it is, and so does another program that is getting the same; neither is an error.
Status publish_whole(Store& store, Part& part, const HubCache& cache, const std::atomic<bool>& stop);

}  // namespace flotilla
