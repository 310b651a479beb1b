#include "app/borrowed_node.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "app/api_client.h"
#include "app/machine.h"

extern char** environ;

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto start_patience = 15s;
constexpr auto poll_interval = 50ms;
constexpr int leave_fd = 3;  // where the child finds its end of the pair

// "http://localhost:52415" → "127.0.0.1:52415": the child listens on loopback, whatever the URL calls it.
Result<std::string> loopback_address(const std::string& api_url) {
  std::string rest = api_url.contains("://") ? api_url.substr(api_url.find("://") + 3) : api_url;
  rest = rest.substr(0, rest.find('/'));
  const auto colon = rest.rfind(':');
  const std::string host = rest.substr(0, colon);
  if (host != "localhost" && host != "127.0.0.1")
    return fail(Code::unavailable, "[app] no node answers at {}; start one there with `flotilla serve`", api_url);
  return std::format("127.0.0.1:{}", colon == std::string::npos ? "52415" : rest.substr(colon + 1));
}

std::string last_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) last = line;
  return last;
}

}  // namespace

Result<BorrowedNode> BorrowedNode::start(const std::string& api_url, const std::filesystem::path& home,
                                         const std::vector<std::filesystem::path>& model_folders) {
  FLOTILLA_TRY(const std::string address, loopback_address(api_url));
  std::vector<std::string> arguments{own_executable().string(), "serve", "--api",  address,       "--no-discovery",
                                     "--cluster-port",          "0",     "--home", home.string(), "--leave-with-fd",
                                     std::to_string(leave_fd)};
  for (const auto& folder : model_folders) arguments.insert(arguments.end(), {"--models", folder.string()});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  FLOTILLA_TRY(auto ends, socket_pair());
  Descriptor child_end = std::move(ends.second);
  // dup2 onto itself would keep close-on-exec set, so the child's end must not already be number 3.
  if (child_end.get() == leave_fd) child_end = Descriptor(::fcntl(child_end.get(), F_DUPFD_CLOEXEC, leave_fd + 1));

  std::error_code ignored;
  std::filesystem::create_directories(home, ignored);
  const auto log_path = home / "run.log";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, child_end.get(), leave_fd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // Ctrl-C stops an answer, not the node
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, pointers.front(), &actions, &attributes, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(Code::unavailable, "[app] cannot start a node ({})", std::strerror(error));

  BorrowedNode node(pid, std::move(ends.first));
  ApiClient client(api_url);
  const auto deadline = std::chrono::steady_clock::now() + start_patience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (client.answers()) return node;
    if (int status = 0; ::waitpid(pid, &status, WNOHANG) == pid) {
      node.pid_ = -1;
      return fail(Code::unavailable, "[app] a node was started but ended at once: {}", last_line(log_path));
    }
    std::this_thread::sleep_for(poll_interval);
  }
  return fail(Code::timeout, "[app] a node was started but does not answer at {}; its log is {}", api_url,
              log_path.string());
}

BorrowedNode::~BorrowedNode() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace flotilla
