#include "app/runner_main.h"

#include "app/child.h"
#include "base/log.h"
#include "io/tcp_link.h"

namespace flotilla {

int runner_main(const RunnerMainOptions& options) {
  begin_as_child();
  const Status status = run_runner(make_tcp_link(Descriptor(options.fd)), options.runner);
  if (status) return 0;
  log(LogLevel::info, "app", "this stage ended: {}", status.error().message);
  return 1;
}

}  // namespace flotilla
