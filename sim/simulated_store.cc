#include "sim/simulated_store.h"

#include <atomic>

#include "base/check.h"
#include "model/test_gguf.h"

namespace flotilla::sim {

std::shared_ptr<const Gguf> make_model() {
  TestGguf gguf;
  gguf.key("general.architecture", "llama");
  gguf.key("llama.block_count", model_layers);
  gguf.key("llama.context_length", 512u);
  gguf.key("llama.embedding_length", 512u);
  gguf.key("llama.feed_forward_length", 1024u);
  gguf.key("llama.attention.head_count", 8u);
  gguf.key("llama.attention.head_count_kv", 4u);
  gguf.key("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  gguf.tensor("token_embd.weight", {512, 100});
  gguf.tensor("output_norm.weight", {512});
  for (std::uint32_t layer = 0; layer < model_layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    gguf.tensor(prefix + "attn_norm.weight", {512});
    gguf.tensor(prefix + "attn_q.weight", {512, 512});
    gguf.tensor(prefix + "attn_k.weight", {512, 256});
    gguf.tensor(prefix + "attn_v.weight", {512, 256});
    gguf.tensor(prefix + "attn_output.weight", {512, 512});
    gguf.tensor(prefix + "ffn_norm.weight", {512});
    gguf.tensor(prefix + "ffn_gate.weight", {512, 1024});
    gguf.tensor(prefix + "ffn_up.weight", {512, 1024});
    gguf.tensor(prefix + "ffn_down.weight", {1024, 512});
  }
  auto parsed = gguf.parse(model_name);
  check(parsed.has_value(), "the simulated model is one");
  return *std::move(parsed);
}

SimulatedStore::SimulatedStore(std::shared_ptr<const Gguf> model, bool is_complete)
    : model_(std::move(model)), is_complete_(is_complete), has_header_(is_complete), has_ranges_(is_complete) {}

StoredModel SimulatedStore::stored() const {
  return {.info = {.name = model_->name(),
                   .fingerprint = model_->fingerprint(),
                   .file_bytes = model_->parts().front().file_bytes,
                   .complete = is_complete_},
          .gguf = model_,
          .files = {}};
}

std::vector<StoredModel> SimulatedStore::list() {
  if (!has_header_) return {};
  return {stored()};
}

Result<StoredModel> SimulatedStore::find(const std::string& model, const std::string& fingerprint) {
  if (has_header_ && (fingerprint.empty() ? model == model_->name() : fingerprint == model_->fingerprint()))
    return stored();
  return fail(Code::not_found, "[sim] expected model '{}' but it is not here", model);
}

std::vector<FileRange> SimulatedStore::missing(const std::string&, const std::vector<FileRange>& ranges) {
  return has_ranges_ ? std::vector<FileRange>() : ranges;
}

Result<StoredModel> SimulatedStore::fetch_header(Link& link, const std::string& model, const std::string& fingerprint) {
  if (auto found = find(model, fingerprint)) return found;
  if (!static_cast<const CopyLink&>(link).has_it())
    return fail(Code::not_found, "[sim] expected model '{}' but it is not there", model);
  has_header_ = true;
  return stored();
}

Result<StoredModel> SimulatedStore::fetch_ranges(Link& link, const StoredModel& model, const std::vector<FileRange>&,
                                                 const FetchProgressFn& progress, const std::atomic<bool>& stop) {
  if (stop) return fail(Code::cancelled, "[sim] the copy was stopped");
  if (!static_cast<const CopyLink&>(link).has_it())
    return fail(Code::not_found, "[sim] expected the layers of '{}' but they are not there", model.info.name);
  if (progress) progress(1, 1);
  has_ranges_ = true;
  return stored();
}

}  // namespace flotilla::sim
