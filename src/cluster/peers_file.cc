#include "cluster/peers_file.h"

#include <algorithm>
#include <fstream>
#include <ranges>
#include <string>

#include "base/replace_file.h"

namespace flotilla {
namespace {

constexpr std::size_t file_bytes_max = remembered_peers_max * 512;  // a longer file is not one of ours

}  // namespace

std::vector<PeerAddress> read_peers_file(const std::filesystem::path& path) {
  std::vector<PeerAddress> peers;
  std::ifstream file(path);
  std::string text(file_bytes_max, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  for (std::size_t begin = 0; begin < text.size() && peers.size() < remembered_peers_max;) {
    const auto end = std::min(text.find('\n', begin), text.size());
    if (auto address = parse_address(std::string_view(text).substr(begin, end - begin), 0)) peers.push_back(*address);
    begin = end + 1;
  }
  return peers;
}

Status write_peers_file(const std::filesystem::path& path, const std::vector<PeerAddress>& peers) {
  std::string text;
  for (const auto& peer : peers | std::views::take(remembered_peers_max)) text += to_string(peer) + '\n';
  return replace_file(path, text);
}

}  // namespace flotilla
