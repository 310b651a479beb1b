// Addresses of machines that were members before, kept so that a restart finds them where beacons do not reach.
//
// A text file, one address a line, most recently joined first. Thread: the loop's, which waits for the disk; files are tiny.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "cluster/address.h"

namespace flotilla {

inline constexpr std::size_t remembered_peers_max = 64;

// A missing file is empty; lines that are no address are skipped; only the first 64 addresses are read.
std::vector<PeerAddress> read_peers_file(const std::filesystem::path& path);

// Replaces the file in one step: a crash leaves the old one. Errors are those of base/replace_file.h.
Status write_peers_file(const std::filesystem::path& path, const std::vector<PeerAddress>& peers);

}  // namespace flotilla
