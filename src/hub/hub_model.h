// Decides what model of a hub a name means, and brings its header here: enough to plan, and for machines to fetch what
// they will hold of it (gather.h). In: a ModelReference.  Out: a part in the store, with its origin and no more bytes
// than a header needs.  Thread: one; blocks.  Never: believes a size, an offset or a place that the header does not
// prove within the size that the listing says.
#pragma once

#include "base/result.h"
#include "hub/hub_client.h"
#include "hub/hub_limits.h"
#include "hub/hub_settings.h"
#include "hub/model_reference.h"
#include "hub/store.h"

namespace flotilla {

struct HubModelOrder {
  ModelReference model;
  HubSettings settings;
  unsigned tries = hub_limits::tries_default;
};

// The model as this store has it now: whole where it was pulled, else as a part. Where the hub cannot be asked
// (HF_HUB_OFFLINE, or nobody answers) a part that came from it earlier will do. Errors as of HubClient and
// choose_files(), and those of the disk.
Result<StoredModel> find_hub_model(Store& store, const HubModelOrder& order, const PullWatch& watch);

// How far into a file somebody reads who looks for a header of that length: the bytes behind it are there, too.
std::uint64_t header_read_bytes(std::uint64_t header_bytes, std::uint64_t file_bytes);

// What the listing of a branch's or tag's commit says the model is. unsupported where it says no SHA-256.
Result<HubOrigin> find_origin(HubClient& client, const ModelReference& model, const std::string& revision);

}  // namespace flotilla
