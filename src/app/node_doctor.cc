// What a node tells whoever asks what is wrong (flotilla doctor).
#include <nlohmann/json.hpp>

#include "app/node.h"

namespace flotilla {

void Node::doctor(OnJson on_done) {
  const Standing& standing = *context_.identity.standing;
  const ClusterView view = this->view();
  TrustFacts trust{.by = context_.identity.trust,
                   .is_member = standing.cluster().has_value(),
                   .may_sign = standing.may_sign(),
                   .wants_renewal = standing.wants_renewal(wall_time()),
                   .ends = standing.membership_ends(),
                   .join_trouble = join_trouble_.empty() ? joins_.trouble() : join_trouble_};
  for (const Member& member : view.members)
    trust.signer_is_here |= member.state == MemberState::joined && member.info.may_sign;
  doctors_.examine(std::move(trust), {wakes_.check()},
                   [on_done](const Checkup& checkup) { on_done(checkup_json(checkup)); });
}

}  // namespace flotilla
