#include "scheduler/chunk_size.h"

#include <algorithm>

namespace flotilla {

std::uint32_t chunk_alone(std::uint32_t read, std::uint32_t left, std::uint32_t block) {
  const std::uint32_t block_left = std::min(left, block - read % block);
  const std::uint32_t piece = read < deep_from ? chunk_rows : chunk_rows / 2;
  return block_left < 2 * piece ? block_left : piece;
}

std::uint32_t in_fours(std::uint32_t rows, std::uint32_t left, std::uint32_t beside) {
  const std::uint32_t over = (rows + beside) % rows_together;
  return over == 0 ? rows : std::min(left, rows + rows_together - over);
}

std::uint32_t ReadingPace::chunk_in_company() const {
  if (row_time_ <= Duration::zero()) return chunk_rows;
  const Duration::rep affordable = Duration(shared_step_time) / row_time_;
  return static_cast<std::uint32_t>(std::clamp<Duration::rep>(affordable, chunk_rows_min, chunk_rows));
}

std::uint32_t ReadingPace::chunk_in_crowd() const {
  if (row_time_ <= Duration::zero()) return chunk_rows;
  const Duration::rep affordable = Duration(crowded_step_time) / row_time_;
  return static_cast<std::uint32_t>(std::clamp<Duration::rep>(affordable, chunk_rows, crowded_chunk_rows));
}

}  // namespace flotilla
