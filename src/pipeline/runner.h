// Decides the life of a runner: one stage of one placement in a process of its own. It speaks with its node over one
// link (a socketpair) and with its neighbours over the ring.
//
//   node → runner: prepare_stage, connect_ring, generate, embed, cancel, stop_stage
//   runner → node: load_progress, stage_ready, ring_connected, token_event, embedding, stage_stats, runner_pulse, stage_failed
//
// The head runs the loop scheduler → embed → stage → ring → output head → sampler; every other stage takes a frame,
// runs its layers and sends it on. A ring of length one is the same loop over an in-memory link: there is no special
// case. Its runner listens nowhere (stage_ready names port 0), needs no connect_ring and says ring_connected by itself.
// A stage that several machines compute together (group.h) has a runner on each: the first stands in the ring, the
// others follow it (member.h). A model that makes vectors of texts has no ring: its runner holds all of it (embedding.h).
// Where a stage fails, each runner of the ring sends one stage_failed with the first cause, the head after it has ended
// every request.
// Threads: one reads the node's link into a bounded queue; one computes and owns stage, ring and scheduler; one tells
// the node that the others live (pulse.h).
// Never: keeps a request after its last event, accepts a frame of another epoch, outlives its node.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/stage.h"
#include "io/link.h"
#include "text/tokenizer.h"
#include "wire/control.h"

namespace flotilla {

struct RunnerOptions {
  std::string link_model;     // io/modelled_link.h text for the ring's links; empty: the links as they are
  std::uint32_t spin_us = 0;  // io/tcp_link.h
  // How long a computation may go on once the node is gone. Then the process ends where it is.
  std::chrono::milliseconds grace{500};
  // The model's tokens, for answers with a constraint; asked for with the first of those, on another thread. Absent: such
  // answers are refused.
  std::function<Result<std::shared_ptr<const Tokenizer>>(const PrepareStage& plan)> load_tokenizer = {};
};

// Serves until the node closes the link or sends stop_stage. The error says why it ended otherwise (already reported).
Status run_runner(std::unique_ptr<Link> node, const RunnerOptions& options);

// The same with another way to come by the stage: one that computes by a script, or nothing at all. `others`: where the
// plan has several members, the exchange of summands with them; it works once the ring is connected.
using StageLoader = std::function<Result<std::unique_ptr<Stage>>(
    const PrepareStage& plan, const LoadProgressFn& progress, std::unique_ptr<Collective> others)>;
Status run_runner(std::unique_ptr<Link> node, const RunnerOptions& options, const StageLoader& load);

}  // namespace flotilla
