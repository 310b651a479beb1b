// `flotilla bench MODEL`: one machine against the cluster, measured in turns through the node's API.
//
// The best single machine against the machines that the planner (or --nodes) names, in pairs: one, cluster, cluster,
// one, one, … so that a machine whose mood drifts favours neither. What was loaded before is loaded again at the end,
// also after Ctrl-C or an error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/verbs.h"

namespace flotilla {

struct BenchOptions {
  VerbOptions verb;
  LoadWishes cluster;  // model; where given the cluster's nodes, layers and mode
  std::string single;  // the one machine; empty: the best is found out
  std::vector<std::uint32_t> streams{1, 4, 16};
  std::uint32_t prompt_tokens = 512, tokens = 128, pairs = 3;
  std::string svg_path;  // empty: no picture
};

int run_bench(const BenchOptions& options);

}  // namespace flotilla
