#include "hub/byte_ranges.h"

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

namespace flotilla {
namespace {

constexpr std::uint64_t piece_bytes_min = 4u << 20, piece_bytes_max = 64u << 20;
constexpr std::uint64_t pieces_wanted = 512;

FileRange between(std::uint32_t file_index, std::uint64_t begin, std::uint64_t end) {
  return {.file_index = file_index, .offset = begin, .bytes = end - begin};
}

void append(FileRanges& ranges, const FileRange& next) {
  if (!ranges.empty() && ranges.back().file_index == next.file_index && end_of(ranges.back()) == next.offset)
    ranges.back().bytes += next.bytes;
  else
    ranges.push_back(next);
}

}  // namespace

FileRanges merged(FileRanges ranges) {
  std::erase_if(ranges, [](const FileRange& range) { return range.bytes == 0; });
  std::ranges::sort(ranges, {}, [](const FileRange& range) { return std::pair(range.file_index, range.offset); });
  FileRanges out;
  for (const FileRange& range : ranges) {
    if (out.empty() || out.back().file_index != range.file_index || end_of(out.back()) < range.offset)
      out.push_back(range);
    else
      out.back().bytes = std::max(end_of(out.back()), end_of(range)) - out.back().offset;
  }
  return out;
}

FileRanges common(const FileRanges& a, const FileRanges& b) {
  const FileRanges left = merged(a), right = merged(b);
  FileRanges out;
  for (std::size_t i = 0, j = 0; i < left.size() && j < right.size();) {
    const FileRange &x = left[i], &y = right[j];
    if (x.file_index == y.file_index) {
      const std::uint64_t begin = std::max(x.offset, y.offset), end = std::min(end_of(x), end_of(y));
      if (begin < end) out.push_back(between(x.file_index, begin, end));
    }
    const bool x_ends_first = std::pair(x.file_index, end_of(x)) < std::pair(y.file_index, end_of(y));
    x_ends_first ? ++i : ++j;
  }
  return out;
}

FileRanges without(const FileRanges& ranges, const FileRanges& taken) {
  const FileRanges gone = merged(taken);
  FileRanges out;
  for (const FileRange& range : merged(ranges)) {
    std::uint64_t at = range.offset;
    for (const FileRange& hole : gone) {
      if (hole.file_index != range.file_index || end_of(hole) <= at || hole.offset >= end_of(range)) continue;
      if (hole.offset > at) out.push_back(between(range.file_index, at, hole.offset));
      at = std::min(end_of(range), end_of(hole));
    }
    if (at < end_of(range)) out.push_back(between(range.file_index, at, end_of(range)));
  }
  return out;
}

std::uint64_t bytes_in(const FileRanges& ranges) {
  std::uint64_t bytes = 0;
  for (const FileRange& range : ranges) bytes += range.bytes;
  return bytes;
}

FileRanges in_pieces(const FileRanges& ranges, std::uint64_t piece_bytes) {
  FileRanges pieces;
  for (const FileRange& range : ranges) {
    for (std::uint64_t at = range.offset; at < end_of(range);) {
      const std::uint64_t end = std::min(end_of(range), (at / piece_bytes + 1) * piece_bytes);
      pieces.push_back(between(range.file_index, at, end));
      at = end;
    }
  }
  return pieces;
}

std::uint64_t piece_bytes_for(std::uint64_t model_bytes) {
  return std::clamp(std::bit_floor(model_bytes / pieces_wanted), piece_bytes_min, piece_bytes_max);
}

std::vector<FileRanges> shared_out(const std::vector<FileRanges>& wanted, std::uint64_t piece_bytes) {
  std::vector<FileRanges> sorted, out(wanted.size());
  std::set<std::pair<std::uint32_t, std::uint64_t>> ends;  // where what somebody wants begins or ends
  for (const FileRanges& ranges : wanted) {
    for (const FileRange& range : sorted.emplace_back(merged(ranges))) {
      ends.insert({range.file_index, range.offset});
      ends.insert({range.file_index, end_of(range)});
    }
  }
  std::vector<std::size_t> at(wanted.size(), 0);  // of each machine the first range that may reach beyond here
  for (auto end = ends.begin(); end != ends.end(); ++end) {
    const auto next = std::next(end);
    if (next == ends.end() || next->first != end->first) continue;
    std::vector<std::size_t> takers;
    for (std::size_t machine = 0; machine < sorted.size(); ++machine) {
      const FileRanges& ranges = sorted[machine];
      std::size_t& i = at[machine];
      while (i < ranges.size() && std::pair(ranges[i].file_index, end_of(ranges[i])) <= *end) ++i;
      if (i < ranges.size() && ranges[i].file_index == end->first && ranges[i].offset <= end->second)
        takers.push_back(machine);
    }
    if (takers.empty()) continue;
    const FileRange segment = between(end->first, end->second, next->second);
    if (takers.size() == 1) {
      append(out[takers.front()], segment);
      continue;
    }
    for (const FileRange& piece : in_pieces({segment}, piece_bytes))
      append(out[takers[piece.offset / piece_bytes % takers.size()]], piece);
  }
  return out;
}

}  // namespace flotilla
