// Decides the life of a runner: one stage of one placement in a process of its own. It speaks with its node over one
// link (a socketpair) and with its neighbours over the ring.
//
//   node → runner: prepare_stage, connect_ring, generate, cancel, stop_stage
//   runner → node: load_progress, stage_ready, ring_connected, token_event, stage_stats, stage_failed
//
// The head runs the loop scheduler → embed → stage → ring → output head → sampler; every other stage takes a frame, runs
// its layers and sends it on. A ring of length one is the same loop over an in-memory link: there is no special case.
// Threads: one reads the node's link into a bounded queue; one computes and owns stage, ring and scheduler.
// Never: keeps a request after its last event, accepts a frame of another epoch, outlives its node.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/link.h"

namespace flotilla {

struct RunnerOptions {
  std::string link_model;     // io/modelled_link.h text for the ring's links; empty: the links as they are
  std::uint32_t spin_us = 0;  // io/tcp_link.h
};

// Serves until the node closes the link or sends stop_stage. The error says why it ended otherwise (already reported).
Status run_runner(std::unique_ptr<Link> node, const RunnerOptions& options);

}  // namespace flotilla
