// Two ends of a link inside one process: for a ring of length one, for tests, for the simulation.
#pragma once

#include <memory>
#include <utility>

#include "io/link.h"

namespace flotilla {

// What one end sends the other receives, in order; at most `frames_max` wait. One pair may be given to two threads.
std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> make_memory_link_pair(std::size_t frames_max = 64);

}  // namespace flotilla
