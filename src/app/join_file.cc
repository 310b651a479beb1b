#include "app/join_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <sstream>
#include <string>
#include <vector>

#include "base/words.h"
#include "io/tcp_link.h"

namespace flotilla {
namespace {

constexpr std::size_t file_bytes_max = 4096;  // a token has 61
constexpr mode_t others = S_IRWXG | S_IRWXO;

// Whoever reads the token can join, and whoever may write the file can send this machine to a cluster of its own.
Status check_owner(const Descriptor& file, const std::string& path) {
  struct stat about{};
  if (::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode))
    return fail(Code::corrupt, "[app] expected {} to be a file with a token", path);
  if (about.st_uid != 0 && about.st_uid != ::geteuid())
    return fail(Code::permission, "[app] expected {} to belong to root or to this user but user {} owns it; chown it",
                path, about.st_uid);
  if ((about.st_mode & others) != 0)
    return fail(Code::permission,
                "[app] expected {} to be readable by its owner alone but its mode is {:o}; chmod 600 {}: whoever reads "
                "the token can join, so make a new one if others could",
                path, about.st_mode & 07777, path);
  return {};
}

}  // namespace

Result<std::optional<JoinToken>> read_join_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!file)
    return fail(Code::permission,
                "[app] cannot read {} ({}); it belongs to the user that runs flotilla serve, mode 600", name,
                std::strerror(errno));
  FLOTILLA_TRY_STATUS(check_owner(file, name));
  std::array<char, file_bytes_max> bytes{};
  const ssize_t count = ::read(file.get(), bytes.data(), bytes.size());
  std::istringstream text(std::string(bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    const auto begin = line.find_first_not_of(" \t\r"), end = line.find_last_not_of(" \t\r");
    if (begin != std::string::npos && line[begin] != '#') lines.push_back(line.substr(begin, end - begin + 1));
  }
  if (lines.size() != 1)
    return fail(Code::corrupt,
                "[app] expected one line with a token in {} but got {}; flotilla token create on a member "
                "prints one",
                name, lines.empty() ? "none" : std::format("{} lines", lines.size()));
  const auto token = JoinToken::parse(lines.front());
  if (!token) return fail(token.error().code, "[app] in {}: {}", name, without_room(token.error().message));
  return *token;
}

}  // namespace flotilla
