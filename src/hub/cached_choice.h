// Which model of the cache somebody means. Thread: any; reads folders.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub_cache.h"

namespace flotilla {

// `typed` is a name as `flotilla list` has it, a beginning of one in any case, a short name, or ORG/NAME:QUANT.
// not_found lists what there is, invalid_argument what fits.
Result<CachedModel> choose_cached(const std::vector<CachedModel>& models, const std::string& typed);

}  // namespace flotilla
