// A stage of a machine that is not here: it computes by a script (pipeline/scripted_stage.h), so that tokens can be
// checked, and takes the time that the planner's equations say that machine would take. It sleeps, so that many fit on
// few cores.
#pragma once

#include <functional>
#include <memory>

#include "pipeline/scripted_stage.h"

namespace flotilla {

struct StubTimes {
  // Of one layer for `rows` rows that each see `seen_tokens` before them, on average.
  std::function<double(double rows, double seen_tokens)> layer_seconds;
  double head_seconds = 0;  // of the output head, a row
};

std::unique_ptr<Stage> make_stub_stage(const ScriptedStageOptions& script, StubTimes times);

}  // namespace flotilla
