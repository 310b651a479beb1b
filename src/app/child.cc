#include "app/child.h"

#include <csignal>
#include <cstdio>

#ifdef __linux__
#include <sys/prctl.h>
#endif

namespace flotilla {

void begin_as_child() {
  std::signal(SIGPIPE, SIG_IGN);
#ifdef __linux__
  // The link's end tells too, but not while a long step computes.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Where memory runs out, the system should take the child, not the node that can explain what happened.
  if (FILE* file = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("500", file);
    std::fclose(file);
  }
#endif
}

}  // namespace flotilla
