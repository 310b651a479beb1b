// Decides how this machine comes into a cluster: which machines it asks, what it shows its owner, and when it believes
// what it was given.
//
// Thread: the loop's, but for the asking itself, which blocks a helper. Never: joins by a code that its owner has not
// confirmed: who stands between could answer, too.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/node_context.h"
#include "cluster/join_client.h"

namespace flotilla {

class JoinDesk {
 public:
  struct Wish {
    std::optional<JoinToken> token;
    std::optional<PeerAddress> peer;  // none: whoever was seen
    bool confirmed = false;  // by code, with --yes: the owner has said beforehand that it need not be compared here
    bool is_patient = true;  // looks five seconds for a machine that can let this one in
  };
  struct Shown {
    std::string code, machine;
  };
  using OnShown = std::function<void(const Shown&)>;
  using OnDone = std::function<void(Result<std::string> machine)>;  // that let us in

  JoinDesk(NodeContext& context, std::function<Cluster&()> cluster);
  ~JoinDesk();
  void stop();

  // One at a time: busy.
  void join(Wish wish, OnShown on_shown, OnDone on_done);
  Status confirm(const std::string& code);  // the other machine shows the same
  void cancel();
  // For serve --join: again and again, until it is in or was told that this token does not let it in.
  void keep_asking(JoinToken token);
  // Why that has not led into a cluster, so far or for good; empty where it did, or nobody asked for it.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Asking;
  void look_for_doors();
  void look_again();
  bool may_look_again(const Error& error) const;
  void ask(std::vector<PeerAddress> doors);
  void on_asked(Result<JoinOutcome> outcome);
  void finish(Result<std::string> machine);
  void give_up();
  void accept();

  NodeContext& context_;
  const std::function<Cluster&()> cluster_;
  std::shared_ptr<Asking> asking_;
  boost::asio::steady_timer look_;   // of asking_, for doors
  boost::asio::steady_timer again_;  // of keep_asking(), between two times
  std::string trouble_;
  std::shared_ptr<std::atomic<bool>> stopping_ = std::make_shared<std::atomic<bool>>(false);
  boost::asio::thread_pool helper_{1};
};

}  // namespace flotilla
