// The node's part of GET /metrics (docs/operating.md): machines, placements and their stages, what happened, the
// process. Names of machines and models are labels, so those that are merely seen on the network are counted and not
// named. Pure but for the process's own figures.
#pragma once

#include <functional>

#include "app/head_desk.h"
#include "app/tallies.h"
#include "base/metrics.h"
#include "cluster/view.h"

namespace flotilla {

using StatsOf = std::function<const StatsPerStage*(PlacementId)>;  // null where it is headed elsewhere

void write_fleet(MetricsText& text, const ClusterView& view);
// Of those headed here, so that a fleet that is read node by node counts each once.
void write_placements(MetricsText& text, const ClusterView& view, const StatsOf& stats_of);
void write_tallies(MetricsText& text, const HeadTally& heads, const ResumeTally& resumes, const PeerTally& peers);
void write_process(MetricsText& text, double started_seconds);  // since 1970

}  // namespace flotilla
