// Decides what a newcomer hears at this machine's door: one with a token is answered at once; one without gets a code
// and waits until a person has compared it.
//
// In: guests' frames, and what was decided of them. Out: codes, certificates, refusals. Owns: who waits, and how many
// codes are made (trust/pairing_budget.h). Thread: the loop's. Never: decides who is let in.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "app/node_context.h"
#include "cluster/complaints.h"
#include "trust/pairing_budget.h"
#include "trust/pairing_code.h"
#include "wire/joining.h"

namespace flotilla {

Error error_of(const TrustAnswer& answer);  // of one that is not ok

class GuestDesk {
 public:
  using OnAnswer = std::function<void(const TrustAnswer&)>;
  using Redeem = std::function<void(TrustOrder order, OnAnswer on_answer)>;
  GuestDesk(NodeContext& context, std::function<Cluster&()> cluster, Redeem redeem);

  void on_frame(const Guest& guest, const Frame& frame);
  void on_gone(std::uint64_t guest);

  // Who waits with this code. Valid until the next call.
  const Guest* with_code(std::string_view code) const;
  // Lets it in, or tells it why not. False where it has hung up.
  bool answer(std::uint64_t guest, const TrustAnswer& answer);
  nlohmann::json waiting() const;  // [{"name", "host", "code"}]

 private:
  enum class Step {
    shows_token,  // and waits for who holds the cluster's key
    owes_nonce,   // its half of the code
    shows_code,   // and waits for a person
  };
  struct Waiting {
    Guest guest;
    Step step = Step::shows_token;
    Digest commitment{};
    PairingNonce nonce{};  // ours
    std::string code;      // once it has shown its half
  };

  void on_token(const Guest& guest, const JoinRequest& request);
  void on_code_wanted(const Guest& guest, const JoinRequest& request);
  void on_reveal(Waiting& waiting, std::span<const std::byte> body);
  void refuse(Guest guest, const Error& cause);  // by value: what guests_ has of it goes

  NodeContext& context_;
  const std::function<Cluster&()> cluster_;
  const Redeem redeem_;
  std::map<std::uint64_t, Waiting> guests_;
  PairingBudget budget_;
  Complaints complaints_;  // strangers can cause them at will
};

}  // namespace flotilla
