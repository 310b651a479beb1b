// What each KV slot holds, and which slot a new prompt had best take: prefixes computed once are used again.
//
// A prompt is compared with every slot, token by token. There are few slots, a comparison ends at the first difference,
// and equal tokens never collide as hashes might. Prefixes are shared only within a scope, so that nobody learns from a
// quick first token what someone else has asked. In: prompts, what was computed.   Out: a slot, cache orders.   Thread:
// the scheduler's. Never: overwrites a slot in use, makes more than one copy for a prompt.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "wire/step.h"

namespace flotilla {

inline constexpr std::uint32_t reuse_min = 16;  // positions; fewer are computed again: they cost a fraction of a step

class KvSlots {
 public:
  explicit KvSlots(std::uint32_t count) : slots_(count) {}

  struct Claim {
    SeqId slot;
    std::uint32_t reused = 0;  // positions of the prompt that are in the cache already
  };
  // Takes a slot for `prompt`, or gives nullopt where every slot is in use or lends its prefix to another claim of this
  // batch (a stage clears and cuts before it copies). At most `reuse_max` of its positions are reused, and only from a
  // slot of the same scope; scope 0 shares with no one. The orders that make it so are added to `batch`.
  std::optional<Claim> claim(std::span<const TokenId> prompt, std::uint64_t scope, std::uint32_t reuse_max,
                             StepBatch& batch);

  // As many of the prompt's positions as a claim would find in the caches now.
  std::uint32_t common_prefix(std::span<const TokenId> prompt, std::uint64_t scope, std::uint32_t reuse_max) const;

  // The slot's cache holds the keys and values of all of `tokens`, those it held before and more, by the time the next
  // batch's orders are carried out.
  void hold(SeqId slot, std::span<const TokenId> tokens);
  // No sequence uses the slot any more. What it holds stays, until a claim needs the place.
  void release(SeqId slot);
  // Nobody knows what the caches hold, as after a step that failed.
  void forget();

 private:
  struct Slot {
    std::vector<TokenId> tokens;
    std::uint64_t scope = 0;
    std::uint64_t claimed_at = 0;  // counts claims; 0: never
    bool in_use = false;
  };
  static constexpr std::uint32_t none = UINT32_MAX;

  struct Match {
    std::uint32_t slot = none, positions = 0;
  };
  Match longest_match(std::span<const TokenId> prompt, std::uint64_t scope, std::uint32_t reuse_max) const;
  bool may_take(std::uint32_t slot, const StepBatch& batch) const;
  std::uint32_t oldest_to_take(std::uint32_t except, const StepBatch& batch) const;

  std::vector<Slot> slots_;
  std::uint64_t claims_ = 0;
};

}  // namespace flotilla
