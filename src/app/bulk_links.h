// The bulk connections that other machines opened to this one, over which threads of ours block to hand out files:
// closing a link is how such a thread is ended. They outlive no membership: whoever belongs to the cluster no longer is
// cut off here too, also one that has no other connection, and one that still waits for a thread.
// In: links, the certificates that were shown on them.  Owns: nothing; who serves a link owns it until end().
// Thread: any.  Never: serves, or knows what is asked.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "io/link.h"
#include "trust/certificate.h"

namespace flotilla {

class BulkLinks {
 public:
  struct Asker {
    NodeId node;
    std::optional<Certificate> shown;  // none: this machine asks for no certificates (--trust-lan, a shared secret)
  };
  using JudgeFn = std::function<Status(const Certificate& shown)>;  // by any thread

  explicit BulkLinks(JudgeFn judge) : judge_(std::move(judge)) {}

  bool wait();  // for a free thread; false where too many do already
  // A waiting one has a thread now; closed where this machine is stopping. unauthorized where the asker belongs here no
  // longer.
  Status begin(Link& link, const Asker& asker);
  void end(Link& link);

  void judge();  // those that are open; others when they begin
  void close(const NodeId& asker, const Error& cause);
  void close_for_good(const Error& cause);

 private:
  Status judge(const Asker& asker) const;

  const JudgeFn judge_;
  std::mutex mutex_;
  std::map<Link*, Asker> open_;
  std::size_t waiting_ = 0;
  bool closing_ = false;
};

}  // namespace flotilla
