// Decides who is let into this machine's cluster and who is put out: guests that wait with a code or come with a token,
// orders of this machine's owner, and what members ask of the one that holds the cluster's key.
//
// A machine that does not hold the key passes on what needs it; any member may approve, and any may put out.
// In: guests, members' orders, the owner's. Out: certificates, signed lists. Owns: who waits.
// Thread: the loop's. Never: admits a guest whose code no person has compared and that has no token.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/node_context.h"
#include "cluster/complaints.h"
#include "trust/pairing_code.h"
#include "wire/joining.h"

namespace flotilla {

class AdmitDesk {
 public:
  explicit AdmitDesk(NodeContext& context, std::function<Cluster&()> cluster);

  void begin();  // renewals; once the cluster runs
  void stop();

  // --- Guests ---
  void on_guest_frame(const Guest& guest, const Frame& frame);
  void on_guest_gone(std::uint64_t guest);

  // --- Members ---
  void on_joined(const NodeId& node);
  void on_order(const NodeId& from, TrustOrder order);
  void on_answer(const NodeId& from, const TrustAnswer& answer);
  void on_revocations(const NodeId& from, const Revocations& revocations);

  // --- The owner ---
  using OnText = std::function<void(Result<std::string>)>;
  void create_token(std::uint32_t seconds, std::uint32_t uses, OnText on_token);
  void approve(const std::string& code, OnText on_name);
  void revoke(const std::string& name, OnText on_name);
  nlohmann::json members() const;

 private:
  using OnAnswer = std::function<void(const TrustAnswer&)>;
  struct Waiting {  // with a code, or on its way to one
    Guest guest;
    JoinRequest request;
    PairingNonce nonce{};
    std::string code;  // empty until its nonce has come
  };
  struct Asked {  // of other members
    OnAnswer on_answer;
    std::size_t answers_missing = 1;
    std::chrono::steady_clock::time_point until;
  };

  Status begin_cluster();
  void decide(const NodeId& from, TrustOrder order, OnAnswer on_answer);
  TrustAnswer sign(const NodeId& from, const TrustOrder& order);
  void ask_signer(TrustOrder order, OnAnswer on_answer);
  void approve_everywhere(TrustOrder order, OnAnswer on_answer);
  void approve_here(std::uint64_t guest, OnAnswer on_answer);
  void grant(std::uint64_t guest, const TrustAnswer& answer);
  void refuse(std::uint64_t guest, const Error& cause);
  void spread_revocations();
  void put_out_revoked();
  void tick();
  void renew();

  NodeContext& context_;
  const std::function<Cluster&()> cluster_;
  boost::asio::steady_timer timer_;
  std::map<std::uint64_t, Waiting> waiting_;
  std::map<std::uint64_t, Asked> asked_;
  std::uint64_t last_ticket_ = 0;
  Complaints complaints_;  // strangers can cause them at will
  std::chrono::steady_clock::time_point renewal_due_;
};

}  // namespace flotilla
