// Notices that a home folder was copied: two machines then run with one key, and each passes for the other.
//
// A machine that restarts has a later incarnation and its earlier process is gone. So an earlier incarnation that shows
// up again, at another address, is a second machine.
// Pure. Thread: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/ids.h"

namespace flotilla {

class CopyWatch {
 public:
  static constexpr std::size_t nodes_max = 256;

  // A process of `node` showed itself. The sentence that says what is wrong, where something is: once for each pair.
  std::optional<std::string> on_seen(const NodeId& node, const std::string& name, std::uint64_t incarnation,
                                     const std::string& host);

 private:
  struct Process {
    std::uint64_t incarnation = 0;
    std::string host;
    std::uint64_t told_of = 0;  // the other's incarnation
  };
  std::map<NodeId, Process> latest_;
};

}  // namespace flotilla
