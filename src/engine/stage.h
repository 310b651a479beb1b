// Decides what one stage computes: a range of layers over their KV cache, and on the head the embedding before and the
// output head after. In: StepBatch, activations.  Out: activations, logits or likeliest tokens.  Owns: weights, KV
// cache, graphs, compute buffers (ggml).  Thread: one thread uses a stage; ggml's own threads work beneath it.
// Never: touches a socket, decides which rows run, aborts on a step that came from a peer (it is checked first).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "engine/collective.h"
#include "engine/slices.h"
#include "model/gguf.h"
#include "model/spec.h"
#include "wire/likeliest.h"
#include "wire/step.h"

namespace flotilla {

struct StageOptions {
  LayerRange layers;          // may be empty on a head that only embeds and samples
  bool is_head = false;       // holds embedding table and output head too
  std::uint32_t threads = 1;  // of each shard
  std::uint32_t shards = 1;   // of this process, a thread with a slice of every layer each; see slices.h
  // Of all shards of the stage where others compute some of them (tensor group): how much of the work each does,
  // relative to the others. This process holds [first_shard, first_shard + shards). Empty: all are here and alike.
  std::vector<double> shares;
  std::uint32_t first_shard = 0;
  double exchange_values_per_second = 0;  // with those elsewhere, the same on all; 0: not known. See model/overlap.h
  std::uint32_t context_tokens = 0;       // per sequence
  std::uint32_t sequences = 1;            // KV slots
  std::uint32_t step_rows_max = 512;
  // Attention as ggml and so llama.cpp compute it, to compare answers bit by bit: of one sequence, in slot 0.
  bool ggml_attention = false;
  bool repack = true;  // weights in the CPU's repacked buffers where that is faster
};

struct StageMemory {
  std::uint64_t weight_bytes = 0, kv_bytes = 0, compute_bytes = 0;
};

// done and total in bytes of weights read.
using LoadProgressFn = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Loads ggml's backends once per process. unsupported, with the folder searched, where no CPU device came up.
Status start_engine();

class Stage {
 public:
  // Reads the weights with pread from gguf.files() (or from `files`, the same parts elsewhere, possibly sparse):
  // nothing stays mapped, so nothing faults later and nothing is held twice.
  // `others`: where options.shares names more shards than are here, the exchange with those elsewhere.
  static Result<std::unique_ptr<Stage>> load(std::shared_ptr<const Gguf> gguf, std::vector<std::filesystem::path> files,
                                             const StageOptions& options, const LoadProgressFn& progress,
                                             std::unique_ptr<Collective> others = nullptr);
  virtual ~Stage() = default;

  // Head: embeds the rows' tokens. Result [rows, embedding_length], valid until the next call.
  virtual Result<std::span<const float>> embed(const StepBatch& batch) = 0;

  // Carries out the batch's cache orders, then runs the layers over [rows, embedding_length] activations. A stage that
  // holds the model's last layer gives only the rows that want logits, in order; every other stage gives all rows.
  // Valid until the next embed or step. invalid_argument for a batch that does not fit this stage (slot, position, row
  // count); its orders may have been carried out by then, and the stage is of no further use.
  virtual Result<std::span<const float>> step(const StepBatch& batch, std::span<const float> activations) = 0;

  // Head: output norm and head over [rows, embedding_length]. Result [rows, vocabulary], valid until the next call. Of
  // a tensor group's member, only the rows of the vocabulary its shards hold: members in order have them all.
  virtual Result<std::span<const float>> logits(std::span<const float> rows) = 0;

  // As logits, where of each row only the likeliest token is wanted: [rows], valid until the next call. Of a tensor
  // group's member, the likeliest of vocabulary().
  virtual Result<std::span<const LikeliestToken>> likeliest(std::span<const float> rows) = 0;

  // Head: the tokens whose logits it computes. All, but of a tensor group's member.
  virtual IndexRange vocabulary() const = 0;

  virtual const ModelSpec& spec() const = 0;
  virtual StageMemory memory() const = 0;
};

}  // namespace flotilla
