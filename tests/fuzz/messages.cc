// Every message whose body is a CBOR map: control, generation, joining, node info. The first byte chooses the message.
#include <array>

#include "base/embed_limits.h"
#include "base/limits.h"
#include "fuzz.h"
#include "wire/control.h"
#include "wire/embedding.h"
#include "wire/generate.h"
#include "wire/handshake.h"
#include "wire/joining.h"
#include "wire/node_info.h"
#include "wire/plain_text.h"

namespace flotilla::fuzz {
namespace {

// What a reader of one message promises beyond being read back, where it promises more.
void check_limits(const auto&) {}
void check_limits(const LoadModel& m) {
  claim(m.nodes.size() <= limits::nodes_max && m.context_tokens <= limits::context_tokens_max, "a load is in bounds");
}
void check_limits(const PrepareStage& m) {
  claim(m.stage_index < m.stage_count && m.member < m.members, "a stage is one of its ring");
  claim(m.layers.first <= m.layers.end && m.layers.end <= limits::layers_max, "layers are in bounds");
  claim(m.shares.empty() || std::size_t{m.first_shard} + m.shards <= m.shares.size(), "shards are the stage's");
}
void check_limits(const RangeRequest& m) { claim(m.offset + m.bytes >= m.offset, "a range does not wrap"); }
void check_limits(const RateRequest& m) { claim(m.bytes <= limits::rate_bytes_max, "a rate's bytes are in bounds"); }
void check_limits(const GenerateRequest& m) {
  claim(!m.prompt.empty() && m.prompt.size() + m.resumed.size() <= limits::context_tokens_max, "a prompt fits");
  claim(m.resumed.size() < m.tokens_max && m.choice < limits::choices_max, "an answer is in bounds");
  claim(m.sampling.temperature >= 0 && m.sampling.repetition_penalty > 0, "samplers can be computed with");
}
void check_limits(const Placement& m) {
  claim(!m.stages.empty() && m.stages.size() <= limits::nodes_max, "a placement has stages");
  for (const PlacedStage& stage : m.stages) claim(!stage.nodes.empty(), "a stage has a node");
}
void check_limits(const EmbedRequest& m) {
  claim(!m.texts.empty() && m.texts.size() <= limits::embed_batch_texts_max, "a batch has texts, and not too many");
  for (const TextTokens& text : m.texts) claim(!text.empty(), "a text has a token");
}
void check_limits(const EmbedResult& m) {
  claim(m.error || (m.length > 0 && m.vectors.size() % (4 * std::size_t{m.length}) == 0),
        "vectors are whole, or an error is");
}
void check_limits(const LoadResult& m) {
  claim(!m.ok || !m.placement.stages.empty(), "a load that went well has a placement");
}
void check_limits(const NodeInfo& m) {
  claim(is_name(m.name) && !m.devices.empty(), "a node has a name and a device");
  for (const Placement& placement : m.placements) check_limits(placement);
}

template <auto decode>
void round_trip(std::span<const std::byte> body) {
  const auto first = decode(body);
  if (!first) {
    const auto& [code, message] = first.error();
    claim(code == Code::corrupt || code == Code::too_large, "a body is corrupt or too large");
    return claim(message.starts_with("[wire] ") && tidy_prose(message) == message, "an error is a sentence");
  }
  check_limits(*first);
  const Bytes canonical = encode(*first);
  const auto second = decode(canonical);
  claim(second.has_value(), "what was read can be sent");
  claim(encode(*second) == canonical, "what is sent is read back");
}

void read_refused(std::span<const std::byte> body) {
  const Error cause = read_refusal(make_frame(FrameKind::refused, Bytes(body.begin(), body.end())));
  const Error again = read_refusal(make_refusal(cause));
  claim(again.code == cause.code && again.message == cause.message, "a refusal is passed on as it was");
}

constexpr std::array readers{
    &round_trip<decode_load_model>,     &round_trip<decode_load_progress>,
    &round_trip<decode_load_result>,    &round_trip<decode_unload_model>,
    &round_trip<decode_prepare_stage>,  &round_trip<decode_stage_ready>,
    &round_trip<decode_connect_ring>,   &round_trip<decode_ring_connected>,
    &round_trip<decode_stop_stage>,     &round_trip<decode_stage_failed>,
    &round_trip<decode_ring_hello>,     &round_trip<decode_stage_stats>,
    &round_trip<decode_header_request>, &round_trip<decode_range_request>,
    &round_trip<decode_rate_request>,   &round_trip<decode_range_end>,
    &round_trip<decode_goodbye>,        &round_trip<decode_generate_request>,
    &round_trip<decode_token_event>,    &round_trip<decode_cancel>,
    &round_trip<decode_join_request>,   &round_trip<decode_join_nonce>,
    &round_trip<decode_join_granted>,   &round_trip<decode_trust_order>,
    &round_trip<decode_trust_answer>,   &round_trip<decode_revocations>,
    &round_trip<decode_node_info>,      &read_refused,
    &round_trip<decode_embed_request>,  &round_trip<decode_embed_result>,
};

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flotilla::fuzz::Input input(data, size);
  const auto which = input.number<std::uint8_t>() % flotilla::fuzz::readers.size();
  flotilla::fuzz::readers[which](input.rest());
  return 0;
}
