// Bounds on what a hub of models may say and take (docs/security.md, "A hub of models").
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace flotilla::hub_limits {

using namespace std::chrono_literals;

// --- One answer ----------------------------------------------------------------------------------
inline constexpr std::size_t header_bytes_max = 64u << 10;   // of one answer; signed addresses are a few KiB
inline constexpr std::size_t answer_bytes_max = 16u << 20;   // of JSON; a page of 1,000 files is about 300 KiB
inline constexpr std::size_t refusal_bytes_max = 64u << 10;  // of a body that goes with a refusal: one page of text
inline constexpr auto answer_time_max = 60s;                 // for JSON as a whole; files may take for ever
inline constexpr auto connect_time_max = 20s;
inline constexpr auto silence_max_default = 20s;  // then a connection is given up and made anew
inline constexpr int redirects_max = 5;           // the hub's own, and one to where the bytes are

// --- A repository --------------------------------------------------------------------------------
inline constexpr std::size_t pages_max = 50, files_max = 50'000;
inline constexpr std::size_t path_bytes_max = 512, path_depth_max = 8;
inline constexpr std::uint64_t file_bytes_max = std::uint64_t{1} << 44;  // 16 TiB: more is a mistake or a trick

// --- Patience ------------------------------------------------------------------------------------
inline constexpr unsigned tries_default = 6;  // without a new byte: waits of 1, 2, 4, 8 and 16 s between them
inline constexpr auto back_off_first = 1s, back_off_max = 30s;
inline constexpr auto rate_limit_wait_max = 330s;  // the hub counts in windows of five minutes
inline constexpr int rate_limit_waits_max = 3;     // of them in one pull

}  // namespace flotilla::hub_limits
