// The newcomer's side of joining: finds out whether a machine is of the wanted cluster, and asks it.
//
// Blocking: for a helper thread.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "cluster/address.h"
#include "cluster/node_identity.h"
#include "trust/join_token.h"

namespace flotilla {

struct JoinWish {
  std::optional<JoinToken> token;  // none: by a code that a person compares
  // By code: what to show, and the machine that shows the same.
  std::function<void(const std::string& code, const std::string& machine)> on_code;
  const std::atomic<bool>* stop = nullptr;  // looked at several times a second; may be null
};

struct JoinOutcome {
  std::string machine;  // that let us in
  Admission admission;
};

// not_found where the machine there cannot let us in (another cluster, or none): the next address may be better.
// unauthorized, busy, timeout and the like are an answer.
Result<JoinOutcome> ask_to_join(const NodeIdentity& self, const PeerAddress& address, const JoinWish& wish);

}  // namespace flotilla
