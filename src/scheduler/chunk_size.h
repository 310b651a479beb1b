// How many rows of a waiting prompt the next step reads: a step is what everybody else waits for.
//
// Alone, a prompt is read in pieces of 64 rows, which depends on nothing measured. On CPUs that is nearly as fast per row as
// 512: each piece reads all weights from memory once. Fewer are dearer, so they are read only where somebody notices:
// beside running answers, or shortly after someone overtook. Then the pace of the prompt's last piece says how many rows
// a step's time allows.
// Deep in a prompt a row takes longer, as it looks back on more, and so does whoever comes wait: there pieces are half as
// large.
//
// Where many prompts wait, small steps would keep them all waiting longer than they please those whose answers run. Then a
// step takes as many rows as fit a longer time, and is filled.
// In: where a prompt stands, times of its pieces.   Out: a number of rows.   Thread: the scheduler's.
#pragma once

#include <chrono>
#include <cstdint>

namespace flotilla {

inline constexpr std::uint32_t chunk_rows = 64;  // and the most a newcomer finds under way but for a tail
inline constexpr std::uint32_t deep_from = 2048;   // positions
inline constexpr std::uint32_t chunk_rows_min = 8;  // fewer would read all weights for hardly anything
// Between two tokens of an answer while a prompt is read: as fast as most people read.
inline constexpr auto shared_step_time = std::chrono::milliseconds(150);
// Kernels multiply so many rows together and the rest one by one, at more than twice the price each.
inline constexpr std::uint32_t rows_together = 4;
// `rows` of a prompt that has `left`, and up to three more where the step's rows, `beside` among them, then come in fours.
std::uint32_t in_fours(std::uint32_t rows, std::uint32_t left, std::uint32_t beside);

// From so many waiting prompts on, a step may take this long and have this many of their rows.
inline constexpr std::size_t crowd_min = 5;
inline constexpr auto crowded_step_time = std::chrono::milliseconds(600);
inline constexpr std::uint32_t crowded_chunk_rows = 256;
// Who was overtaken makes small steps for so long: who asked just now soon asks again.
inline constexpr auto company_time = std::chrono::seconds(10);

// A prompt of which `read` rows are computed and `left` are not is read in blocks of `block` rows, and these in pieces
// of chunk_rows, from deep_from on of half as many. A block's end of fewer belongs to the piece before.
std::uint32_t chunk_alone(std::uint32_t read, std::uint32_t left, std::uint32_t block);

// Of one prompt: it grows slower with every piece, as its rows look back on more of them.
class ReadingPace {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // A step with `rows` of the prompt took so long, whatever else was in it.
  void saw(std::uint32_t rows, Duration time) { row_time_ = time / rows; }
  // From chunk_rows_min to chunk_rows; the most where nothing is known yet, so that a short prompt is read whole.
  std::uint32_t chunk_in_company() const;
  std::uint32_t chunk_in_crowd() const;  // from chunk_rows to crowded_chunk_rows; this of the last prompts read by anyone

 private:
  Duration row_time_{};
};

}  // namespace flotilla
