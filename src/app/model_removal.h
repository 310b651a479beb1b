// What is to go when somebody no longer wants a model that was pulled, linked or taken in parts: `flotilla rm`, POST
// /delete. Models in folders of the user's own are never touched. Thread: any; reads folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"

namespace flotilla {

struct Removal {
  std::string name, what;                         // "…, 93.8 MiB in /home/ann/.cache/…"
  std::string repository;                         // whose pulls would lose what they have; empty: nobody's
  std::function<Result<std::uint64_t>()> remove;  // how many bytes became free
};

// `typed` as for choose_cached(); of a pull that was broken off, its repository. `home`: the node's. Errors say what
// there is.
Result<Removal> find_removal(const std::filesystem::path& home, const std::string& typed);

}  // namespace flotilla
