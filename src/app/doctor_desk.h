// Examines this machine and its place in the fleet for whoever asks (GET /cluster/doctor, `flotilla doctor`). In: the
// cluster's view, the standing, the home. Out: a Checkup. One examination at a time: who asks meanwhile gets the same.
//
// Thread: the loop's; what blocks (sockets, disk, other machines' ports) is looked at by a helper for up to about two
// seconds. Never: changes anything.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "app/checkup.h"
#include "app/fleet_checks.h"
#include "app/network_checks.h"
#include "app/node_context.h"
#include "app/power.h"

namespace flotilla {

class DoctorDesk {
 public:
  struct Options {
    std::filesystem::path home;
    Ports ports;
    bool beacons = true;
    BatteryRules battery;
  };
  using OnDone = std::function<void(const Checkup&)>;

  DoctorDesk(NodeContext& context, Options options, std::function<Cluster&()> cluster);
  ~DoctorDesk();

  // `more`: what only the node knows of itself.
  void examine(TrustFacts trust, Findings more, OnDone on_done);

 private:
  struct Questions {
    FleetFacts fleet;
    TrustFacts trust;
    Findings more;
    std::vector<std::pair<NodeId, PeerAddress>> of_members;
    std::vector<PeerAddress> of_nobody;
  };
  Questions gather(TrustFacts trust, Findings more) const;
  static Findings answer(Questions questions, const Options& options);

  NodeContext& context_;
  const Options options_;
  const std::function<Cluster&()> cluster_;
  std::vector<OnDone> waiting_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
  boost::asio::thread_pool helper_{1};
};

// Of this machine alone, where no node runs.
Findings examine_alone(const std::filesystem::path& home, const Ports& ports);

}  // namespace flotilla
