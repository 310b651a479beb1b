#include "app/runner_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "app/machine.h"
#include "base/log.h"

extern char** environ;

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto reap_interval = 20ms;
constexpr int reap_polls_before_kill = 100;  // two seconds

std::string describe_exit(int status) {
  if (WIFEXITED(status)) return std::format("exited with code {}", WEXITSTATUS(status));
  if (!WIFSIGNALED(status)) return "ended";
  const int signal = WTERMSIG(status);
  const std::string_view hint = signal == SIGKILL ? "; the system may have run out of memory: offer less with --memory"
                                : signal == SIGABRT || signal == SIGSEGV ? "; this is a bug, please report it"
                                                                         : "";
  return std::format("was ended by signal {} ({}){}", signal, ::strsignal(signal), hint);
}

// The child's environment: ours, with the thread settings that OpenMP reads before main().
std::vector<std::string> runner_environment(const RunnerSpawnOptions& options) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable; ++variable)
    if (!std::string_view(*variable).starts_with("OMP_NUM_THREADS=")) variables.emplace_back(*variable);
  variables.push_back(std::format("OMP_NUM_THREADS={}", options.threads));
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

constexpr int runner_fd = 3;  // where the child finds its end of the pair

Result<int> spawn_child(const Descriptor& child_end, const RunnerSpawnOptions& options) {
  std::vector<std::string> arguments{own_executable().string(), options.verb, "--fd", std::to_string(runner_fd)};
  arguments.insert(arguments.end(), options.words.begin(), options.words.end());
  if (!options.link_model.empty()) arguments.insert(arguments.end(), {"--link-model", options.link_model});
  if (options.spin_us > 0) arguments.insert(arguments.end(), {"--spin-us", std::to_string(options.spin_us)});
  if (!options.log_level.empty()) arguments.insert(arguments.end(), {"--log-level", options.log_level});
  auto environment = runner_environment(options);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_end.get(), runner_fd);  // dup2 clears close-on-exec
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A Ctrl-C in the terminal is the node's to handle: it tells its runners when to go.
  short flags = POSIX_SPAWN_SETPGROUP;
  // Asio does not mark its sockets close-on-exec: without this a runner would keep the node's ports open after it.
#ifdef __APPLE__
  flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#else
  posix_spawn_file_actions_addclosefrom_np(&actions, runner_fd + 1);
#endif
  posix_spawnattr_setflags(&attributes, flags);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program_to_start().c_str(), &actions, &attributes, pointers(arguments).data(),
                                  pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(Code::unavailable, "[app] cannot start a runner process ({})", std::strerror(error));
  return pid;
}

}  // namespace

RunnerProcess::RunnerProcess(boost::asio::io_context& loop, OnFrame on_frame, OnExit on_exit)
    : timer_(loop), on_frame_(std::make_shared<const OnFrame>(std::move(on_frame))), on_exit_(std::move(on_exit)) {}

Result<std::shared_ptr<RunnerProcess>> RunnerProcess::spawn(boost::asio::io_context& loop,
                                                            const RunnerSpawnOptions& options, OnFrame on_frame,
                                                            OnExit on_exit) {
  FLOTILLA_TRY(auto ends, socket_pair());
  Descriptor child_end = std::move(ends.second);
  // dup2 onto itself would keep close-on-exec set, so the child's end must not already be number 3.
  if (child_end.get() == runner_fd) child_end = Descriptor(::fcntl(child_end.get(), F_DUPFD_CLOEXEC, runner_fd + 1));
  FLOTILLA_TRY(const int pid, spawn_child(child_end, options));
  std::shared_ptr<RunnerProcess> runner(new RunnerProcess(loop, std::move(on_frame), std::move(on_exit)));
  runner->pid_ = pid;
  runner->link_ = FrameConnection::adopt(loop.get_executor(), std::move(ends.first));
  const std::weak_ptr<RunnerProcess> weak = runner;
  runner->link_->start(
      [weak](Frame frame) {
        const auto self = weak.lock();
        const auto take = self ? self->on_frame_ : nullptr;  // stop() may be called from inside it
        if (take) (*take)(std::move(frame));
      },
      [weak](const Error&) {
        if (const auto self = weak.lock()) self->on_link_closed();
      });
  return runner;
}

RunnerProcess::~RunnerProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void RunnerProcess::send(const Frame& frame) { link_->send(frame); }

bool RunnerProcess::offer(const Frame& frame) { return link_->offer(frame); }

void RunnerProcess::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

void RunnerProcess::stop() {
  on_frame_ = nullptr;
  on_exit_ = nullptr;
  link_->close({Code::closed, "[app] the node stopped this runner"});
  if (!reaping_) reap(reap_polls_before_kill);
}

void RunnerProcess::on_link_closed() {
  if (!reaping_) reap(reap_polls_before_kill);
}

// Polls rather than waits: the loop never blocks. The timer keeps this object alive until the child is gone.
void RunnerProcess::reap(int polls_left) {
  reaping_ = true;
  int status = 0;
  const int ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == pid_ || (ended < 0 && errno == ECHILD)) {  // or somebody else was told how it ended
    pid_ = -1;
    const auto how = ended < 0 ? "ended, the system does not say how" : describe_exit(status);
    if (on_exit_) std::exchange(on_exit_, nullptr)(how);
    return;
  }
  if (polls_left == 0) ::kill(pid_, SIGKILL);
  timer_.expires_after(reap_interval);
  timer_.async_wait([self = shared_from_this(), polls_left](const boost::system::error_code& error) {
    if (!error) self->reap(polls_left - 1);
  });
}

}  // namespace flotilla
