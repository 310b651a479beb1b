// Decides who is let into this machine's cluster, who is put out, and who still belongs: orders of this machine's
// owner, and what members ask of the one that holds the cluster's key.
//
// A machine that does not hold the key passes on what needs it; any member may approve, and any may put out. Who
// belongs is judged in the handshake, once more when both have introduced themselves, at once where somebody was put
// out, and every ten seconds, because certificates end. In: guests, members' orders, the owner's. Out: certificates,
// signed lists. Owns: what others were asked, and the certificates that members renewed. Thread: the loop's; blocks it
// where Standing writes a file. Never: admits a guest whose code no person has compared and that has no token.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "app/guest_desk.h"
#include "app/node_context.h"
#include "app/ticker.h"
#include "wire/joining.h"

namespace flotilla {

class AdmitDesk {
 public:
  explicit AdmitDesk(NodeContext& context, std::function<Cluster&()> cluster);

  void begin();  // renewals and judging; once the cluster runs
  void stop() { ticker_.stop(); }

  GuestDesk& guests() { return guests_; }

  // --- Members ---
  void on_joined(const NodeId& node);
  void on_order(const NodeId& from, TrustOrder order);
  void on_answer(const NodeId& from, const TrustAnswer& answer);
  void on_revocations(const NodeId& from, const Revocations& told);
  void judge_members();                       // whoever belongs to this cluster no longer is put out
  std::function<void()> when_judged = [] {};  // for what else others hold of this machine

  // --- The owner ---
  using OnText = std::function<void(Result<std::string>)>;
  using OnJson = std::function<void(Result<nlohmann::json>)>;
  void create_token(std::uint32_t seconds, std::uint32_t uses, OnText on_token);
  void list_tokens(OnJson on_list);
  void end_token(const std::string& id, OnText on_id);  // as list_tokens() shows it
  void approve(const std::string& code, OnText on_name);
  void revoke(const std::string& name_or_id, OnText on_name);
  nlohmann::json members() const;

 private:
  using OnAnswer = GuestDesk::OnAnswer;
  struct Asked {  // of other members
    OnAnswer on_answer;
    std::set<NodeId> missing;  // whose answers are
    std::chrono::steady_clock::time_point until;
  };

  Status begin_cluster();
  void decide(const NodeId& from, TrustOrder order, OnAnswer on_answer);
  TrustAnswer sign(const NodeId& from, const TrustOrder& order);
  TrustAnswer admit(const TrustOrder& order, bool anew);
  void ask_signer(TrustOrder order, OnAnswer on_answer);
  void approve_everywhere(TrustOrder order, OnAnswer on_answer);
  void approve_here(const Guest& guest, OnAnswer on_answer);
  Result<DeviceId> device_called(const std::string& name_or_id) const;
  Revocations what_to_tell() const;
  void tell_all();           // who was put out, and that our own membership goes on
  void write_revocations();  // again until it works: a full disk keeps nobody in
  void note_renewal(const NodeId& from, std::span<const std::byte> membership);
  void judge(const Member& member);
  void tick();
  void renew();

  NodeContext& context_;
  const std::function<Cluster&()> cluster_;
  GuestDesk guests_;
  Ticker ticker_;
  std::map<std::uint64_t, Asked> asked_;
  std::map<NodeId, Certificate> renewed_;  // of members, since they connected
  std::chrono::steady_clock::time_point renewal_due_, judging_due_;
};

}  // namespace flotilla
