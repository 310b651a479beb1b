// The child is `systemd-inhibit … cat`, with a pipe of ours as what cat reads. Where this process closes the pipe, or
// ends in whatever way, cat comes to the end of its input and both are gone, and with them the request: nobody has to
// be alive to clean up.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <format>
#include <thread>
#include <vector>

#include "app/sleep_inhibitor.h"
#include "io/tcp_link.h"

extern char** environ;

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto end_patience = 1s;  // for a child whose input has ended; it takes milliseconds
constexpr auto end_poll = 5ms;

std::string describe(int status) {
  const std::string how = WIFEXITED(status)     ? std::format("with code {}", WEXITSTATUS(status))
                          : WIFSIGNALED(status) ? std::format("by signal {}", WTERMSIG(status))
                                                : std::string("at once");
  return std::format("systemd-inhibit ended {}: this system does not take the request (is logind running?)", how);
}

// An end of a pipe that is not one of the three standard streams: they are the child's to fill.
Descriptor away_from_streams(int fd) {
  if (fd > STDERR_FILENO) return Descriptor(fd);
  Descriptor moved(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  ::close(fd);
  return moved;
}

// 0 or an errno.
int spawn(const Descriptor& input, const std::string& why, pid_t& pid) {
  std::vector<std::string> words{"systemd-inhibit", "--what=sleep:idle", "--who=Flotilla",
                                 "--why=" + why,    "--mode=block",      "cat"};
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.get(), STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  // Asio does not mark its sockets close-on-exec: the child would keep connections open that the node has closed.
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  const int error = ::posix_spawnp(&pid, words.front().c_str(), &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

struct SleepInhibitor::Request {
  pid_t pid = -1;
  Descriptor input;
  std::vector<pid_t> ending;  // their input is closed
  std::string trouble;

  void reap() {
    std::erase_if(ending, [](pid_t child) { return ::waitpid(child, nullptr, WNOHANG) != 0; });
    int status = 0;
    if (pid <= 0 || ::waitpid(pid, &status, WNOHANG) != pid) return;
    pid = -1;
    input = {};
    trouble = describe(status);
  }
};

SleepInhibitor::SleepInhibitor() : request_(std::make_unique<Request>()) {}

SleepInhibitor::~SleepInhibitor() {
  release();
  const auto until = std::chrono::steady_clock::now() + end_patience;
  while (request_->reap(), !request_->ending.empty() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(end_poll);
  for (const pid_t child : request_->ending) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
}

void SleepInhibitor::hold(const std::string& why) {
  if (holds()) return;
  request_->trouble.clear();
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    request_->trouble = std::format("no pipe to systemd-inhibit could be made ({})", std::strerror(errno));
    return;
  }
  const Descriptor childs = away_from_streams(ends[0]);
  Descriptor ours = away_from_streams(ends[1]);
  if (const int error = spawn(childs, why, request_->pid); error != 0) {
    request_->pid = -1;
    request_->trouble = error == ENOENT ? "systemd-inhibit is not installed"
                                        : std::format("systemd-inhibit cannot be started ({})", std::strerror(error));
    return;
  }
  request_->input = std::move(ours);
}

void SleepInhibitor::release() {
  request_->reap();
  if (request_->pid <= 0) return;
  request_->input = {};
  request_->ending.push_back(std::exchange(request_->pid, -1));
}

bool SleepInhibitor::holds() {
  request_->reap();
  return request_->pid > 0;
}

const std::string& SleepInhibitor::trouble() const { return request_->trouble; }

}  // namespace flotilla
