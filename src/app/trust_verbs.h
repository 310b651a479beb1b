// The verbs about who belongs to the cluster: token (create, list, revoke), join, approve, members, revoke, leave. All
// ask the node of this machine. Each returns the process's exit code, as in verbs.h.
#pragma once

#include <cstdint>
#include <string>

#include "app/verbs.h"

namespace flotilla {

struct JoinFlags {
  std::string token, peer;  // empty: by code; whoever was seen
  bool yes = false;         // by code: do not ask whether the other machine shows the same
};

int create_token(const VerbOptions& options, std::uint32_t seconds, std::uint32_t uses);
int list_tokens(const VerbOptions& options);
int end_token(const VerbOptions& options, const std::string& id);
int join_cluster(const VerbOptions& options, const JoinFlags& flags);
int approve_machine(const VerbOptions& options, const std::string& code);
int list_members(const VerbOptions& options);
int revoke_machine(const VerbOptions& options, const std::string& name);
int leave_cluster(const VerbOptions& options, bool force);

// "90s", "15m", "1h", "7d", whole numbers; invalid_argument.
Result<std::uint32_t> seconds_from_text(const std::string& text);

}  // namespace flotilla
