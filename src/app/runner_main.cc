#include "app/runner_main.h"

#include <csignal>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/log.h"
#include "io/tcp_link.h"

namespace flotilla {

int runner_main(const RunnerMainOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
#ifdef __linux__
  // The link's end tells too, but not while a long step computes.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Where memory runs out, the system should take the stage, not the node that can explain what happened.
  if (FILE* file = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("500", file);
    std::fclose(file);
  }
#endif
  const Status status = run_runner(make_tcp_link(Descriptor(options.fd)), options.runner);
  if (status) return 0;
  log(LogLevel::info, "app", "this stage ended: {}", status.error().message);
  return 1;
}

}  // namespace flotilla
