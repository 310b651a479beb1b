// Decides what a frame is: the 48 bytes in front of everything that travels between nodes and processes.
// In:  kind, epoch, step, body.   Out: header bytes, or the header read back and checked.   Owns: nothing.
// Thread: any; pure.   Never: allocates for a length it has not checked, reads a body before its header's checksum.
//
// Layout, little-endian (docs/wire.md has it byte by byte; the example there is a test):
//    0 u32 magic "FLOT"      4 u16 protocol version   6 u16 kind
//    8 u64 epoch incarnation 16 u32 epoch counter     20 u32 body bytes
//   24 u64 step              32 u64 XXH3-64 of body   40 u64 XXH3-64 of bytes 0..39
// Magic, version, kind and body length keep their places in every version, so that a hello of any version can be read
// and a mismatch explained.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace flotilla {

inline constexpr std::uint32_t frame_magic = 0x544F4C46;  // "FLOT" as it lies in the bytes
inline constexpr std::uint16_t protocol_version = 2;
inline constexpr std::size_t frame_header_bytes = 48;

enum class FrameKind : std::uint16_t {
  // Any connection, before anything else (handshake.h).
  hello = 1, hello_reply = 2, proof = 3, refused = 4,
  // Node to node, control connection (control.h).
  ping = 10, pong = 11, node_info = 12, goodbye = 13, is_heard = 14, heard = 15, link_remade = 16,
  load_model = 20, load_progress = 21, load_result = 22, unload_model = 23,
  prepare_stage = 24, stage_ready = 25, connect_ring = 26, ring_connected = 27, stop_stage = 28, stage_failed = 29,
  // Node to head's node, node to runner, and back (generate.h).
  generate = 40, token_event = 41, cancel = 42, stage_stats = 43, runner_pulse = 44,
  // The same three for texts that become vectors (embedding.h).
  embed = 45, embedding = 46,
  // Joining (joining.h): newcomer and member; and what members tell each other of who belongs to them.
  join_request = 70, join_nonce = 71, join_reveal = 72, join_granted = 73,
  trust_order = 74, trust_answer = 75, revocations = 76,
  // Bulk connection (control.h).
  range_request = 50, range_data = 51, range_end = 52, header_request = 53, rate_request = 54,
  // Ring, stage to stage (step in step.h, the others in control.h). A kind that a stage does not know ends the ring.
  ring_hello = 60, step = 61, stage_lost = 62,
  // Within a stage that several machines compute together (tensor group): a summand's values, a slice of logits, the
  // likeliest tokens of such a slice.
  partial_sum = 63, logits_slice = 64, likeliest_slice = 65,
};

struct FrameHeader {
  FrameKind kind{};
  Epoch epoch{};
  std::uint64_t step = 0;  // which step of the epoch; 0 outside the ring
  std::uint32_t body_bytes = 0;
  std::uint64_t body_checksum = 0;
  std::uint16_t version = protocol_version;
};

struct Frame {
  FrameHeader header;
  Bytes body;
};

using FrameHeaderBytes = std::array<std::byte, frame_header_bytes>;

// Fills body_bytes and body_checksum of the header from `body` and gives the bytes to send before it.
FrameHeaderBytes encode_header(FrameHeader header, std::span<const std::byte> body);

// corrupt: magic or checksum wrong. version_mismatch: another protocol version (the message names both; hello, hello_reply
// and refused are let through with their version so that it can be explained). too_large: body beyond limits.h for its kind.
Result<FrameHeader> decode_header(std::span<const std::byte, frame_header_bytes> bytes);

// corrupt where the body does not have the header's checksum.
Status check_body(const FrameHeader& header, std::span<const std::byte> body);

// A link may add this much behind a body of its own accord (io/modelled_link.h: a time stamp).
inline constexpr std::size_t frame_trailer_bytes_max = 64;

// For a kind this release does not know: that of a control frame, so that a newer peer's frame can be read and skipped.
std::size_t body_bytes_max(FrameKind kind);
std::string_view to_string(FrameKind kind);  // "unknown" for a newer peer's

Frame make_frame(FrameKind kind, Bytes body, Epoch epoch = {}, std::uint64_t step = 0);

}  // namespace flotilla
