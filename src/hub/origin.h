// Where a model comes from, as it travels between machines and lies on disks (wire/control.h): what must be so before
// its words become parts of an address or of a path. Thread: any; pure.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "hub/model_reference.h"
#include "hub/store.h"
#include "wire/control.h"

namespace flotilla {

// corrupt names what is none: a repository, a commit, a path within it, a size, a hash.
Status check_origin(const HubOrigin& origin);

// Whether these are that origin's files: a part that says so, or files of the hub's cache, which lie under their
// hashes.
bool is_of(const StoredModel& model, const HubOrigin& origin);

// The one of some parts' origins that the words mean, by the rules by which it was chosen when it came. Nothing where
// none is of that repository; errors as of choose_files().
Result<std::optional<HubOrigin>> choose_origin(const std::vector<HubOrigin>& origins, const ModelReference& reference);

}  // namespace flotilla
