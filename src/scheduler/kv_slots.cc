#include "scheduler/kv_slots.h"

#include <algorithm>

#include "base/check.h"

namespace flotilla {
std::optional<KvSlots::Claim> KvSlots::claim(std::span<const TokenId> prompt, std::uint64_t scope,
                                             std::uint32_t reuse_max, StepBatch& batch) {
  const auto [source, reused] = longest_match(prompt, scope, reuse_max);
  // In place where the source is free and would lose less than is gained; else into the slot that rested longest.
  const bool in_place = source != none && may_take(source, batch);
  const auto other = oldest_to_take(source, batch);
  const bool cheap = in_place && slots_[source].tokens.size() <= 2 * std::size_t{reused};
  const std::uint32_t target = in_place && (cheap || other == none) ? source : other;
  if (target == none) return std::nullopt;

  if (source != none && target != source)
    batch.copy_prefix.push_back({SeqId{source}, SeqId{target}, reused});
  else if (reused > 0)
    batch.truncate.push_back({SeqId{target}, reused});
  else if (slots_[target].claimed_at > 0)
    batch.free.push_back(SeqId{target});
  if (source != none) slots_[source].claimed_at = ++claims_;
  slots_[target] = {
      .tokens = {prompt.begin(), prompt.begin() + reused}, .scope = scope, .claimed_at = ++claims_, .in_use = true};
  return Claim{SeqId{target}, reused};
}

std::uint32_t KvSlots::common_prefix(std::span<const TokenId> prompt, std::uint64_t scope,
                                     std::uint32_t reuse_max) const {
  return longest_match(prompt, scope, reuse_max).positions;
}

KvSlots::Match KvSlots::longest_match(std::span<const TokenId> prompt, std::uint64_t scope,
                                      std::uint32_t reuse_max) const {
  Match best;
  const auto compared = prompt.first(std::min<std::size_t>(prompt.size(), reuse_max));
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (scope == 0 || slots_[slot].scope != scope) continue;
    const auto common =
        static_cast<std::uint32_t>(std::ranges::mismatch(compared, slots_[slot].tokens).in1 - compared.begin());
    if (common >= reuse_min && common > best.positions) best = {slot, common};
  }
  return best;
}

bool KvSlots::may_take(std::uint32_t slot, const StepBatch& batch) const {
  return !slots_[slot].in_use && !std::ranges::contains(batch.copy_prefix, SeqId{slot}, &CacheCopy::from);
}

std::uint32_t KvSlots::oldest_to_take(std::uint32_t except, const StepBatch& batch) const {
  std::uint32_t oldest = none;
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (slot == except || !may_take(slot, batch)) continue;
    if (oldest == none || slots_[slot].claimed_at < slots_[oldest].claimed_at) oldest = slot;
  }
  return oldest;
}

void KvSlots::hold(SeqId slot, std::span<const TokenId> tokens) {
  auto& held = slots_[slot.value].tokens;
  check(held.size() <= tokens.size(), "a slot in use only grows");
  held.insert(held.end(), tokens.begin() + static_cast<std::ptrdiff_t>(held.size()), tokens.end());
}

void KvSlots::release(SeqId slot) {
  check(slots_[slot.value].in_use, "a slot is released once");
  slots_[slot.value].in_use = false;
}

void KvSlots::forget() {
  for (Slot& slot : slots_) slot.tokens.clear();
}

}  // namespace flotilla
