// Decides how each other machine is best reached, and what that link is worth. In: who is joined and by which
// addresses, whether this machine has nothing to do.  Out: LinkRates, for the node to publish; the preferred host of
// each. Owns: what was measured, one helper thread.  Thread: the loop's; the helper blocks on one probe at a time.
// Never: measures while a stage here computes, while another link through this machine is measured, or where the peer
// says that it is busy.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/node_context.h"
#include "app/ticker.h"
#include "cluster/link_probe.h"
#include "cluster/link_schedule.h"
#include "cluster/rate_gate.h"

namespace flotilla {

class LinkDesk {
 public:
  struct Surroundings {
    std::function<bool()> is_quiet;
    std::function<std::vector<PeerAddress>(const NodeId&)> addresses_of;
    std::function<void(const NodeId&, std::string host)> prefer_host;
  };

  LinkDesk(NodeContext& context, Surroundings surroundings);
  ~LinkDesk();

  void begin(bool asks);  // false: only answers the others
  void stop();
  void on_lost(const NodeId& peer);
  std::vector<LinkRate> links() const;

  // A request on a bulk connection, on its thread.
  Status answer(Link& link, const Frame& frame);
  void on_bulk_closed(const Link& link) { gate_->leave(link); }

 private:
  struct Chosen {
    PeerAddress address;
    LinkFigures figures;
  };
  struct Probed {
    std::map<PeerAddress, LinkFigures> figures;
    bool busy = false, missed = false;  // missed: an address did not answer
  };
  static Probed probe_all(const NodeIdentity& self, const NodeId& peer, const std::vector<PeerAddress>& addresses,
                          const std::atomic<bool>& stop);
  void look();
  void ask(bool quiet);
  void look_around();
  void measure(const NodeId& peer);
  void on_probed(const NodeId& peer, const Probed& probed);

  NodeContext& context_;
  const Surroundings surroundings_;
  const std::shared_ptr<RateGate> gate_ = std::make_shared<RateGate>();
  LinkSchedule schedule_;
  Ticker ticker_;
  std::map<NodeId, Chosen> chosen_;
  std::vector<InterfaceAddress> interfaces_;
  int ticks_ = 0;
  bool asks_ = false;
  const std::shared_ptr<std::atomic<bool>> stopping_ = std::make_shared<std::atomic<bool>>(false);
  boost::asio::thread_pool helper_{1};
};

// Of what was probed, the one to use: the current one unless another is better by enough. Null where nothing was
// probed.
const std::pair<const PeerAddress, LinkFigures>* choose_link(const std::map<PeerAddress, LinkFigures>& probed,
                                                             const PeerAddress* current);

}  // namespace flotilla
