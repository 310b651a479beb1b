#include "wire/frame.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "base/check.h"
#include "base/hex.h"
#include "base/limits.h"
#include "wire/step.h"

namespace flotilla {
namespace {

// Where each field lies. The numbers are the format (docs/wire.md), so they are written out, not derived.
constexpr std::size_t magic_at = 0, version_at = 4, kind_at = 6, incarnation_at = 8, counter_at = 16,
                      body_bytes_at = 20, step_at = 24, body_checksum_at = 32, header_checksum_at = 40;

template <class T>
void put(FrameHeaderBytes& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <class T>
T get(std::span<const std::byte, frame_header_bytes> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::uint64_t checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

// The kinds in which two versions tell each other why they cannot talk.
bool explains_versions(FrameKind kind) {
  return kind == FrameKind::hello || kind == FrameKind::hello_reply || kind == FrameKind::refused;
}

}  // namespace

FrameHeaderBytes encode_header(FrameHeader header, std::span<const std::byte> body) {
  check(body.size() <= UINT32_MAX, "a frame's body length fits 32 bits");
  FrameHeaderBytes bytes;
  put(bytes, magic_at, frame_magic);
  put(bytes, version_at, header.version);
  put(bytes, kind_at, static_cast<std::uint16_t>(header.kind));
  put(bytes, incarnation_at, header.epoch.incarnation);
  put(bytes, counter_at, header.epoch.counter);
  put(bytes, body_bytes_at, static_cast<std::uint32_t>(body.size()));
  put(bytes, step_at, header.step);
  put(bytes, body_checksum_at, checksum(body));
  put(bytes, header_checksum_at, checksum(std::span(bytes).first(header_checksum_at)));
  return bytes;
}

Result<FrameHeader> decode_header(std::span<const std::byte, frame_header_bytes> bytes) {
  if (get<std::uint32_t>(bytes, magic_at) != frame_magic) {
    return fail(Code::corrupt,
                "[wire] expected a frame that begins with the bytes 464c4f54 but got {}; "
                "something else than flotilla speaks on this port",
                to_hex(bytes.first(4)));
  }
  if (get<std::uint64_t>(bytes, header_checksum_at) != checksum(bytes.first(header_checksum_at))) {
    return fail(Code::corrupt,
                "[wire] expected a frame header that matches its checksum but got {}; the connection is "
                "unreliable or its peer broken",
                to_hex(bytes));
  }
  FrameHeader header;
  header.version = get<std::uint16_t>(bytes, version_at);
  header.kind = static_cast<FrameKind>(get<std::uint16_t>(bytes, kind_at));
  header.epoch = {get<std::uint64_t>(bytes, incarnation_at), get<std::uint32_t>(bytes, counter_at)};
  header.body_bytes = get<std::uint32_t>(bytes, body_bytes_at);
  header.step = get<std::uint64_t>(bytes, step_at);
  header.body_checksum = get<std::uint64_t>(bytes, body_checksum_at);
  if (header.version != protocol_version && !explains_versions(header.kind)) {
    return fail(Code::version_mismatch,
                "[wire] expected protocol version {} but got {}; update flotilla on the machine with the lower one",
                protocol_version, header.version);
  }
  if (header.body_bytes > body_bytes_max(header.kind)) {
    return fail(Code::too_large, "[wire] expected at most {} bytes in a {} frame but got {}; the peer is broken",
                body_bytes_max(header.kind), to_string(header.kind), header.body_bytes);
  }
  return header;
}

Status check_body(const FrameHeader& header, std::span<const std::byte> body) {
  if (body.size() != header.body_bytes || checksum(body) != header.body_checksum) {
    return fail(Code::corrupt,
                "[wire] expected {} bytes that match the checksum of their {} frame but got {} that do not; the "
                "connection is unreliable or its peer broken",
                header.body_bytes, to_string(header.kind), body.size());
  }
  return {};
}

std::size_t body_bytes_max(FrameKind kind) {
  switch (kind) {
    // Anyone may send these, so they get little: names, a nonce, a proof, or one sentence of refusal.
    case FrameKind::hello:
    case FrameKind::hello_reply:
    case FrameKind::proof:
    case FrameKind::refused:
    case FrameKind::ring_hello:
    case FrameKind::join_request:
    case FrameKind::join_nonce:
    case FrameKind::join_reveal:
      return 16u << 10;
    case FrameKind::ping:
    case FrameKind::pong:
      return 64;
    case FrameKind::range_data:
      return limits::bulk_chunk_bytes + frame_trailer_bytes_max;
    case FrameKind::partial_sum:
      return limits::activation_bytes_max + frame_trailer_bytes_max;
    case FrameKind::logits_slice:
      return limits::logits_slice_bytes_max + frame_trailer_bytes_max;
    case FrameKind::likeliest_slice:
      return limits::head_rows_bytes_max + frame_trailer_bytes_max;
    case FrameKind::step:
      return limits::activation_bytes_max + step_orders_bytes_max + frame_trailer_bytes_max;
    default:
      return limits::control_body_bytes_max;  // kinds of a newer release too: skipped, but read
  }
}

std::string_view to_string(FrameKind kind) {
  switch (kind) {
    case FrameKind::hello:
      return "hello";
    case FrameKind::hello_reply:
      return "hello_reply";
    case FrameKind::proof:
      return "proof";
    case FrameKind::refused:
      return "refused";
    case FrameKind::ping:
      return "ping";
    case FrameKind::pong:
      return "pong";
    case FrameKind::node_info:
      return "node_info";
    case FrameKind::goodbye:
      return "goodbye";
    case FrameKind::is_heard:
      return "is_heard";
    case FrameKind::heard:
      return "heard";
    case FrameKind::link_remade:
      return "link_remade";
    case FrameKind::join_request:
      return "join_request";
    case FrameKind::join_nonce:
      return "join_nonce";
    case FrameKind::join_reveal:
      return "join_reveal";
    case FrameKind::join_granted:
      return "join_granted";
    case FrameKind::trust_order:
      return "trust_order";
    case FrameKind::trust_answer:
      return "trust_answer";
    case FrameKind::revocations:
      return "revocations";
    case FrameKind::load_model:
      return "load_model";
    case FrameKind::load_progress:
      return "load_progress";
    case FrameKind::load_result:
      return "load_result";
    case FrameKind::unload_model:
      return "unload_model";
    case FrameKind::prepare_stage:
      return "prepare_stage";
    case FrameKind::stage_ready:
      return "stage_ready";
    case FrameKind::connect_ring:
      return "connect_ring";
    case FrameKind::ring_connected:
      return "ring_connected";
    case FrameKind::stop_stage:
      return "stop_stage";
    case FrameKind::stage_failed:
      return "stage_failed";
    case FrameKind::generate:
      return "generate";
    case FrameKind::token_event:
      return "token_event";
    case FrameKind::cancel:
      return "cancel";
    case FrameKind::stage_stats:
      return "stage_stats";
    case FrameKind::embed:
      return "embed";
    case FrameKind::embedding:
      return "embedding";
    case FrameKind::runner_pulse:
      return "runner_pulse";
    case FrameKind::range_request:
      return "range_request";
    case FrameKind::range_data:
      return "range_data";
    case FrameKind::range_end:
      return "range_end";
    case FrameKind::header_request:
      return "header_request";
    case FrameKind::rate_request:
      return "rate_request";
    case FrameKind::ring_hello:
      return "ring_hello";
    case FrameKind::step:
      return "step";
    case FrameKind::stage_lost:
      return "stage_lost";
    case FrameKind::partial_sum:
      return "partial_sum";
    case FrameKind::logits_slice:
      return "logits_slice";
    case FrameKind::likeliest_slice:
      return "likeliest_slice";
  }
  return "unknown";
}

Frame make_frame(FrameKind kind, Bytes body, Epoch epoch, std::uint64_t step) {
  Frame frame{.header = {.kind = kind, .epoch = epoch, .step = step}, .body = std::move(body)};
  frame.header.body_bytes = static_cast<std::uint32_t>(frame.body.size());
  frame.header.body_checksum = checksum(frame.body);
  return frame;
}

}  // namespace flotilla
