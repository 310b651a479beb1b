// A stage that computes by a script instead of a model: for tests, where a mixed or lost row must show, and for the
// ring benchmark, where computing must cost nothing.
//
// A layer keeps one number per sequence; every row changes it by what comes in, and it is what goes out. So a row's
// value depends on all rows of its sequence before it, in order, and on no other; and any cut into stages computes the
// same. Activations are [value, sequence, position, 0...]; a row whose sequence or position is not the batch's is an
// error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/stage.h"

namespace flotilla {

struct ScriptedModel {
  std::uint32_t layers = 6, width = 8, vocabulary = 251;
};

struct ScriptedStageOptions {
  ScriptedModel model;
  LayerRange layers;
  bool is_head = false;
  IndexRange vocabulary;  // of a tensor group's member: the tokens whose logits it computes; empty: all
  // Of a row's value and a token. Absent: 10 for the token that the value chooses, 0 for others.
  std::function<float(std::uint32_t value, std::uint32_t token)> logit;
  std::uint32_t sequences = 4, context_tokens = 4096;
  std::function<Status(const StepBatch&)> before_step;  // runs inside step(); an error is the step's
};

std::unique_ptr<Stage> make_scripted_stage(ScriptedStageOptions options);

// The answer by definition: no stages, no batches, no ring.
std::vector<TokenId> scripted_answer(const ScriptedModel& model, std::span<const TokenId> prompt, std::size_t tokens);

}  // namespace flotilla
