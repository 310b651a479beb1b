#include "app/link_desk.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "io/modelled_link.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 500ms;
constexpr int ticks_a_look = 4;                  // at this machine's interfaces: every two seconds
constexpr std::size_t addresses_probed_max = 6;  // of one machine

Instant now() { return std::chrono::steady_clock::now(); }

}  // namespace

const std::pair<const PeerAddress, LinkFigures>* choose_link(const std::map<PeerAddress, LinkFigures>& probed,
                                                             const PeerAddress* current) {
  const std::pair<const PeerAddress, LinkFigures>* best = nullptr;
  if (const auto found = current ? probed.find(*current) : probed.end(); found != probed.end()) best = &*found;
  for (const auto& candidate : probed)
    if (!best || is_better(candidate.second, best->second)) best = &candidate;
  return best;
}

LinkDesk::LinkDesk(NodeContext& context, Surroundings surroundings)
    : context_(context),
      surroundings_(std::move(surroundings)),
      schedule_(random_u64()),
      ticker_(context.alarm, tick_interval, [this] { look(); }) {}

LinkDesk::~LinkDesk() {
  stop();
  helper_.join();  // a probe ends within seconds
}

void LinkDesk::begin(bool asks) {
  asks_ = asks;
  interfaces_ = real_interfaces();
  ticker_.begin();
}

void LinkDesk::stop() {
  stopping_->store(true);
  ticker_.stop();
}

// Rings may go over slower links than those that are measured (--link-model): plans are for rings.
std::vector<LinkRate> LinkDesk::links() const {
  const auto model = link_model_from_text(context_.runner.link_model);
  std::vector<LinkRate> list;
  for (const auto& [peer, chosen] : chosen_) {
    LinkRate rate{peer, chosen.figures.latency_seconds, chosen.figures.bytes_per_second, chosen.figures.interface};
    if (!context_.runner.link_model.empty() && model) {
      rate.latency_seconds = std::max(rate.latency_seconds, latency_seconds(*model));
      rate.bytes_per_second = std::min(rate.bytes_per_second, bytes_per_second(*model));
    }
    list.push_back(std::move(rate));
  }
  return list;
}

void LinkDesk::on_lost(const NodeId& peer) {
  schedule_.forget(peer);
  if (chosen_.erase(peer) > 0) context_.changed();
}

void LinkDesk::look() {
  const bool quiet = surroundings_.is_quiet();
  gate_->set_open(quiet);
  if (asks_) ask(quiet);
}

void LinkDesk::ask(bool quiet) {
  if (++ticks_ % ticks_a_look == 0) look_around();
  for (const Member& member : context_.view().members)
    if (member.state == MemberState::joined)
      schedule_.see(member.info.id, surroundings_.addresses_of(member.info.id), now());
  if (quiet && !schedule_.is_measuring() && gate_->begin_asking(std::chrono::steady_clock::now())) {
    if (const auto peer = schedule_.take_due(now()))
      measure(*peer);
    else
      gate_->end_asking();
  }
}

// A cable that is pulled takes its address along: back to the way the control connection goes, at once.
void LinkDesk::look_around() {
  auto interfaces = real_interfaces();
  if (interfaces == interfaces_) return;
  interfaces_ = std::move(interfaces);
  const auto is_here = [this](const std::string& name) {
    return std::ranges::any_of(interfaces_, [&](const InterfaceAddress& each) { return each.interface == name; });
  };
  for (auto& [peer, chosen] : chosen_)
    if (chosen.figures.real && !chosen.figures.interface.empty() && chosen.figures.interface != "lo" &&
        !is_here(chosen.figures.interface))
      surroundings_.prefer_host(peer, "");
  schedule_.measure_all(now());
}

// Blocking. An address that does not answer, or another machine at it, is no candidate; the others may be.
LinkDesk::Probed LinkDesk::probe_all(const NodeIdentity& self, const NodeId& peer,
                                     const std::vector<PeerAddress>& addresses, const std::atomic<bool>& stop) {
  Probed probed;
  for (const PeerAddress& address : addresses) {
    if (stop) break;
    auto figures = probe_link(self, peer, address);
    if (figures) {
      probed.figures.emplace(address, *std::move(figures));
      continue;
    }
    log(LogLevel::debug, "app", "the link to {} was not measured: {}", to_string(address), figures.error().message);
    if (figures.error().code == Code::busy) return {.figures = {}, .busy = true};
    probed.missed = true;
  }
  return probed;
}

void LinkDesk::measure(const NodeId& peer) {
  auto addresses = surroundings_.addresses_of(peer);
  if (addresses.size() > addresses_probed_max) addresses.resize(addresses_probed_max);
  // On the helper nothing of this object is touched, and it may be gone before the answer reaches the loop: the flag
  // says so, which outlives it.
  boost::asio::post(helper_, [this, stopping = stopping_, gate = gate_, loop = &context_.loop, self = context_.identity,
                              peer, addresses] {
    Probed probed = probe_all(self, peer, addresses, *stopping);
    gate->end_asking();
    boost::asio::post(*loop, [this, stopping, peer, probed = std::move(probed)] {
      if (!*stopping) on_probed(peer, probed);
    });
  });
}

void LinkDesk::on_probed(const NodeId& peer, const Probed& probed) {
  // What was measured while this machine began to compute says nothing.
  if (probed.busy || !surroundings_.is_quiet()) return schedule_.on_busy(now());
  const auto current = chosen_.find(peer);
  const auto* best = choose_link(probed.figures, current == chosen_.end() ? nullptr : &current->second.address);
  if (!best) {
    schedule_.on_failed(now());
    surroundings_.prefer_host(peer, "");
    if (chosen_.erase(peer) > 0) context_.changed();
    return;
  }
  probed.missed ? schedule_.on_failed(now()) : schedule_.on_measured(now());
  const Member* member = nullptr;
  const ClusterView view = context_.view();
  if (member = view.find(peer); !member || member->state == MemberState::seen) return;  // left meanwhile
  if (probed.figures.size() > 1 && (current == chosen_.end() || current->second.address != best->first))
    log(LogLevel::info, "app", "{} is reached at {} ({}): {:.3f} ms and {:.2f} GB/s", member->info.name,
        best->first.host, best->second.interface, best->second.latency_seconds * 1e3,
        best->second.bytes_per_second / 1e9);
  chosen_[peer] = {best->first, best->second};
  surroundings_.prefer_host(peer, best->first.host);
  context_.changed();
}

Status LinkDesk::answer(Link& link, const Frame& frame) {
  if (frame.header.kind != FrameKind::rate_request)
    return fail(Code::corrupt, "[app] expected a request for a file or a rate_request on a bulk connection but got {}",
                to_string(frame.header.kind));
  const auto request = decode_rate_request(frame.body);
  if (!request) return refuse_rate(link, request.error());
  if (const auto admitted = gate_->admit(link, request->bytes, now()); !admitted)
    return refuse_rate(link, admitted.error());
  return answer_rate(link, *request);
}

}  // namespace flotilla
