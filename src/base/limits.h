// Every bound in one place: its unit in its name, its reason beside it, its relation to others asserted.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace flotilla::limits {

using namespace std::chrono_literals;

// --- Ports (a promise to users, README) ----------------------------------------------------------
inline constexpr std::uint16_t api_port = 52415, cluster_port = 52414, discovery_port = 52413;

// --- One step of the model -----------------------------------------------------------------------
inline constexpr std::uint32_t step_rows_max = 512;  // tokens computed together; llama.cpp's ubatch, so ratios are fair
inline constexpr std::uint32_t sequences_max = 256;  // KV slots of one placement; a slot id fits a byte table
inline constexpr std::uint32_t sequences_default = 4;  // concurrent answers unless asked for more
inline constexpr std::uint32_t context_tokens_default = 4096;
inline constexpr std::uint32_t context_tokens_max = 1u << 20;
inline constexpr std::uint32_t layers_max = 1024, embedding_length_max = 1u << 17, vocabulary_max = 1u << 20;

// --- Frames (docs/wire.md) -----------------------------------------------------------------------
inline constexpr std::size_t control_body_bytes_max = 4u << 20;  // CBOR; the largest is a prompt of a million tokens
inline constexpr std::size_t rate_bytes_max = 16u << 20;         // sent to measure a link: 0.13 s on 1 GbE
inline constexpr std::size_t bulk_chunk_bytes = 1u << 20;        // one piece of a file under way; 8 ms on 1 GbE
inline constexpr std::size_t activation_bytes_max = std::size_t{step_rows_max} * embedding_length_max * 4;
inline constexpr std::uint32_t logits_rows_max = 32;  // computed at once: a row of a large vocabulary is a mebibyte
inline constexpr std::size_t logits_slice_bytes_max = std::size_t{logits_rows_max} * vocabulary_max * 4;
inline constexpr std::size_t head_rows_bytes_max = std::size_t{logits_rows_max} * embedding_length_max * 4;
inline constexpr std::size_t send_queue_bytes_max = 16u << 20;  // per control connection; beyond, the peer is too slow
inline constexpr std::size_t header_bytes_max = 64u << 20;      // a GGUF header: a 256 k vocabulary needs about 6 MiB
inline constexpr std::size_t offered_bytes_max = send_queue_bytes_max / 2;  // of those, in frames that may be refused
static_assert(control_body_bytes_max < offered_bytes_max);

// --- Cluster -------------------------------------------------------------------------------------
inline constexpr std::size_t nodes_max = 64;          // full mesh: 64 × 63 / 2 connections
inline constexpr std::size_t beacon_bytes_max = 256;  // one UDP datagram that never fragments
inline constexpr auto beacon_interval_fast = 1s;      // the first 15 s after a start or a change
inline constexpr auto beacon_interval_slow = 20s;
inline constexpr auto beacon_fast_period = 15s;
inline constexpr auto heartbeat_interval = 500ms;
inline constexpr auto peer_silence_suspect = 2s;
inline constexpr auto peer_silence_lost = 4s;  // "loss noticed within 5 s" leaves one interval of slack
inline constexpr auto handshake_time_max = 5s;
static_assert(peer_silence_lost + 2 * heartbeat_interval <= 5s);

// --- Runners as their nodes see them (docs/architecture.md) ---------------------------------------
inline constexpr auto pulse_interval = 250ms;
inline constexpr auto runner_silence_lost = 2s;        // of one at work: a stream goes on 3 s later
inline constexpr auto runner_silence_idle_lost = 10s;  // of one for which nobody is known to wait
inline constexpr auto step_still_lost = 2s;            // a step that uses no processor time, and
inline constexpr int step_overdue = 8;                 // takes so many times as long as such steps usually do
inline constexpr auto runner_starved_lost = 30s;       // instead, of one that would go on if it got a processor
static_assert(runner_silence_lost >= 8 * pulse_interval);

// --- Requests whose placement was lost -----------------------------------------------------------
inline constexpr auto resume_wait_max = 120s;    // for machines that can hold the model: a restart takes a minute
inline constexpr std::uint32_t resumes_max = 3;  // without a new token between them: the request may be the cause

// --- The API (ecosystem limits) ------------------------------------------------------------------
inline constexpr std::size_t http_header_bytes_max = 32u << 10, http_body_bytes_max = 64u << 20;
inline constexpr std::size_t http_bodies_bytes_max = 256u << 20;  // of all connections together
static_assert(http_body_bytes_max <= http_bodies_bytes_max);
inline constexpr std::size_t http_target_bytes_max = 8u << 10, http_header_fields_max = 100;
// From this machine, and from all others together. One that waits costs some 5 KiB (test_many.py).
inline constexpr std::size_t http_connections_max = 6144;
inline constexpr std::size_t http_connections_per_address_max = 64;  // from each of the others
// Descriptors a node asks the system for: both kinds of connections, the fleet's, runners' and files'.
inline constexpr std::size_t open_files_wanted = 2 * http_connections_max + 2048;
inline constexpr auto http_header_time_max = 10s;
inline constexpr std::size_t json_depth_max = 64, messages_max = 4096, choices_max = 16, stops_max = 16,
                             stop_bytes_max = 512;
inline constexpr std::size_t top_logprobs_max = 20, logit_bias_max = 1024, prompts_max = 64;
inline constexpr std::size_t api_keys_max = 1024;  // each request's key is compared with every one: 32 KiB of hashes
inline constexpr std::size_t requests_queued_max = 1024;  // then 429 with Retry-After
inline constexpr auto stream_keepalive = 10s;            // an SSE comment, so that proxies do not cut a long prefill
inline constexpr std::size_t template_steps_max = 1'000'000, template_output_bytes_max = 8u << 20;
// A schema, pattern or grammar that an answer is to keep to (text/constraint.h); processor time, on the text thread.
inline constexpr std::size_t constraint_bytes_max = 256u << 10, constraint_memory_bytes_max = 256u << 20;
inline constexpr auto constraint_compile_time_max = 900ms;
// Different ones that one runner keeps at a time: the automaton of each grows to some 40 MiB at most.
inline constexpr std::size_t constraints_kept_max = 64;
static_assert(constraint_bytes_max < control_body_bytes_max / 2);
inline constexpr std::size_t stream_events_queued_max = 1024;

}  // namespace flotilla::limits
