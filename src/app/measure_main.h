// The process in which a node measures its machine: nothing but its work runs in it, so the node's loop goes on, and
// what goes wrong in a kernel takes it and not the node. Its end of a socket pair with the node carries load_progress
// (text, done and total in steps), then one node_info of which only `rates` counts, or stage_failed with the error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace flotilla {

struct MeasureMainOptions {
  int fd = -1;
  std::uint32_t cores = 1;
  std::vector<std::string> types;
  std::filesystem::path scratch;
  std::uint32_t shards = 0;  // 0: measures everything; else only these types, with cores divided into so many shards
};

int measure_main(const MeasureMainOptions& options);  // the process's exit code

}  // namespace flotilla
