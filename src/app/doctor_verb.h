// `flotilla doctor`: what keeps this machine, or its fleet, from working, in one screen. Asks the node where one runs,
// and looks by itself where none does.
#pragma once

#include <cstdint>

#include "app/verbs.h"

namespace flotilla {

struct DoctorFlags {
  std::uint16_t cluster_port = 0, discovery_port = 0;  // that serve will be given
};

// 0: nothing must be done; 1: something must; 3: as verbs.h, where a node elsewhere was asked for and none answers.
int examine_machine(const VerbOptions& options, const DoctorFlags& flags);

}  // namespace flotilla
