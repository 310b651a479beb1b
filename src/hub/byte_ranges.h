// Sets of byte ranges of a model's files: what two have in common, what one has beyond another, and who of several
// machines fetches what. Results are sorted and without overlaps, whatever came in. Thread: any; pure.
#pragma once

#include <cstdint>
#include <vector>

#include "model/spec.h"

namespace flotilla {

using FileRanges = std::vector<FileRange>;

inline std::uint64_t end_of(const FileRange& range) { return range.offset + range.bytes; }
FileRanges merged(FileRanges ranges);
FileRanges common(const FileRanges& a, const FileRanges& b);
FileRanges without(const FileRanges& ranges, const FileRanges& taken);
std::uint64_t bytes_in(const FileRanges& ranges);

// Cut where a file's offset is a multiple of `piece_bytes`, so that everybody's pieces of one model have the same ends.
FileRanges in_pieces(const FileRanges& ranges, std::uint64_t piece_bytes);
// Of a model of so many bytes: what a broken connection can cost, and the unit of what is recorded. 4 to 64 MiB.
std::uint64_t piece_bytes_for(std::uint64_t model_bytes);

// Of each machine what it wants; answered by what of it each fetches, so that every byte that somebody wants is fetched
// by one of those who want it. What several want they fetch in turns, piece by piece.
std::vector<FileRanges> shared_out(const std::vector<FileRanges>& wanted, std::uint64_t piece_bytes);

}  // namespace flotilla
