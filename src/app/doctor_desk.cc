#include "app/doctor_desk.h"

#include <algorithm>

#include "app/machine_checks.h"
#include "cluster/peers_file.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto reach_patience = 1s;  // a machine on a network of one's own answers within milliseconds

void add(Findings& to, Findings more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

DoctorDesk::DoctorDesk(NodeContext& context, Options options, std::function<Cluster&()> cluster)
    : context_(context), options_(std::move(options)), cluster_(std::move(cluster)) {}

DoctorDesk::~DoctorDesk() {
  alive_.reset();
  helper_.join();
}

void DoctorDesk::examine(TrustFacts trust, Findings more, OnDone on_done) {
  waiting_.push_back(std::move(on_done));
  if (waiting_.size() > 1) return;
  boost::asio::post(helper_, [this, alive = std::weak_ptr(alive_), loop = &context_.loop, options = options_,
                              questions = gather(std::move(trust), std::move(more))]() mutable {
    const NodeInfo self = questions.fleet.view.self().info;
    Checkup checkup{.name = self.name,
                    .release = self.version,
                    .protocol = protocol_version,
                    .is_running = true,
                    .findings = answer(std::move(questions), options)};
    boost::asio::post(*loop, [this, alive, checkup = std::move(checkup)] {
      if (alive.expired()) return;
      for (const OnDone& tell : std::exchange(waiting_, {})) tell(checkup);
    });
  });
}

DoctorDesk::Questions DoctorDesk::gather(TrustFacts trust, Findings more) const {
  Questions questions{
      .fleet = {}, .trust = std::move(trust), .more = std::move(more), .of_members = {}, .of_nobody = {}};
  const Cluster& cluster = cluster_();
  FleetFacts& fleet = questions.fleet;
  fleet.view = context_.view();
  std::vector<PeerAddress> known;
  for (const Member& member : fleet.view.members) {
    if (const auto facts = cluster.facts_of(member.info.id)) fleet.peers.emplace(member.info.id, *facts);
    if (member.state == MemberState::self) continue;
    const auto addresses = cluster.addresses_of(member.info.id);
    if (!addresses.empty()) questions.of_members.emplace_back(member.info.id, addresses.front());
    known.insert(known.end(), addresses.begin(), addresses.end());
  }
  for (PeerAddress& address : cluster.doors())
    if (!std::ranges::contains(known, address)) questions.of_nobody.push_back(std::move(address));
  const Standing& standing = *context_.identity.standing;
  if (questions.trust.is_member)
    for (const auto& [device, name] : standing.members_met())
      if (device != standing.device() && !standing.is_revoked(device) && fleet.view.find(node_id_of(device)) == nullptr)
        fleet.away.push_back(name);
  return questions;
}

// Blocking.
Findings DoctorDesk::answer(Questions questions, const Options& options) {
  FleetFacts& fleet = questions.fleet;
  std::vector<PeerAddress> addresses;
  for (const auto& [node, address] : questions.of_members) addresses.push_back(address);
  addresses.insert(addresses.end(), questions.of_nobody.begin(), questions.of_nobody.end());
  std::vector<Reach> reached = reach(addresses, reach_patience);
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (i < questions.of_members.size())
      fleet.reached.emplace(questions.of_members[i].first, std::move(reached[i]));
    else
      fleet.others.push_back(std::move(reached[i]));
  }
  // As the system gave them, where any would do.
  const NodeInfo& self = fleet.view.self().info;
  Ports ports = options.ports;
  ports.api = self.api_port;
  ports.cluster = self.cluster_port;
  Findings findings{list_ports(ports), check_interfaces(), check_beacons(ports.discovery, options.beacons),
                    check_firewall(ports.cluster, ports.discovery)};
  Findings clocks = check_clocks(fleet);
  if (clocks.empty()) clocks.push_back(check_clock());
  add(findings, std::move(clocks));
  add(findings,
      {check_disk(options.home), check_memory(), check_power(read_power(), options.battery), check_compute()});
  add(findings, std::move(questions.more));
  add(findings, {check_trust(questions.trust, wall_time()), check_versions(fleet)});
  add(findings, check_peers(fleet));
  return findings;
}

Findings examine_alone(const std::filesystem::path& home, const Ports& ports) {
  Findings findings = check_ports_free(ports);
  add(findings,
      {check_interfaces(), check_beacons(ports.discovery, true), check_firewall(ports.cluster, ports.discovery),
       check_clock(), check_disk(home), check_memory(), check_power(read_power(), {}), check_compute()});
  // Opening a standing makes a key where there is none: that is the first start's business.
  std::error_code error;
  if (std::filesystem::exists(home / "trust" / "device.key", error)) {
    if (const auto standing = Standing::open(home / "trust"))
      findings.push_back(check_trust({.is_member = (*standing)->cluster().has_value(),
                                      .may_sign = (*standing)->may_sign(),
                                      .ends = (*standing)->membership_ends(),
                                      .join_trouble = {}},
                                     wall_time()));
    else
      findings.push_back({.check = "trust",
                          .health = Health::bad,
                          .found = std::string(standing.error().message),
                          .to_do = "put HOME/trust right, or take it away: the next start makes a new identity"});
  }
  for (const Reach& each : reach(read_peers_file(home / "peers.txt"), reach_patience))
    findings.push_back({.check = "peer",
                        .health = Health::ok,
                        .found = each.answered_in
                                     ? std::format("met before: {} answers in {:.1f} ms", to_string(each.address),
                                                   static_cast<double>(each.answered_in->count()) / 1e3)
                                     : std::format("met before: {}", each.why),
                        .to_do = ""});
  return findings;
}

}  // namespace flotilla
