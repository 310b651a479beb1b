#include "app/fleet_checks.h"

#include <algorithm>
#include <format>

#include "base/words.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto clock_noticeable = 60s;  // less is nobody's business: certificates allow ten minutes

bool is_in(const Member& member) { return member.state == MemberState::joined || member.state == MemberState::suspect; }

std::uint16_t version_of(const Member& member, const FleetFacts& facts) {
  if (member.state == MemberState::self || is_in(member)) return protocol_version;
  const auto found = facts.peers.find(member.info.id);
  return found == facts.peers.end() ? protocol_version : found->second.version;
}

std::string span_of(std::chrono::seconds time) {
  const auto seconds = std::chrono::abs(time);
  if (seconds < 2min) return std::format("{} s", seconds.count());
  if (seconds < 2h) return std::format("{} min", seconds / 1min);
  return seconds < 48h ? std::format("{} h", seconds / 1h) : std::format("{} days", seconds / 24h);
}

// A sentence of ours says what is, then what to do about it.
Finding as_finding(const std::string& name, const std::string& host, const std::string& reason, Health health) {
  const std::size_t cut = reason.find("; ");
  return {.check = "peer",
          .health = health,
          .found = std::format("{} at {} is seen, not joined: {}", name, host, reason.substr(0, cut)),
          .to_do = cut == std::string::npos ? "flotilla doctor on " + name + " may know more" : reason.substr(cut + 2)};
}

const Reach* reach_of(const FleetFacts& facts, const Member& member) {
  const auto found = facts.reached.find(member.info.id);
  return found == facts.reached.end() ? nullptr : &found->second;
}

Finding check_joined(const Member& member, const Reach* reach) {
  Finding finding{.check = "peer", .found = "", .to_do = ""};
  if (member.state == MemberState::suspect) {
    finding.health = Health::warn;
    finding.found = std::format("{} is joined and has been silent for some seconds", member.info.name);
    finding.to_do = "look whether it is busy, asleep or off the network";
    return finding;
  }
  finding.found = std::format("{} is joined", member.info.name);
  if (reach == nullptr) return finding;
  const std::string where = to_string(reach->address);
  if (reach->answered_in) {
    finding.found +=
        std::format("; {} answers in {:.1f} ms", where, static_cast<double>(reach->answered_in->count()) / 1e3);
    return finding;
  }
  finding.health = Health::bad;
  finding.found += std::format(", but {} cannot be reached from here: {}", where, reach->why);
  finding.to_do = std::format("open TCP {} and high TCP ports in the firewall on {}: rings connect both ways",
                              reach->address.port, member.info.name);
  return finding;
}

// Whether it is meant that the two do not work together, nobody knows but their owner; where this machine is with
// nobody else, it likely is not.
Finding check_seen(const Member& member, const FleetFacts& facts, bool is_alone, const Reach* reach) {
  const bool is_other_version = version_of(member, facts) != protocol_version;
  Finding finding = as_finding(member.info.name, member.host, member.reason,
                               is_alone || is_other_version ? Health::bad : Health::warn);
  if (reach != nullptr && !reach->answered_in) finding.found += std::format(" ({})", reach->why);
  return finding;
}

}  // namespace

Finding check_trust(const TrustFacts& facts, WallTime now) {
  Finding finding{.check = "trust", .found = "", .to_do = ""};
  if (facts.by == TrustMode::trust_lan) {
    finding.found = "goes by --trust-lan: every machine of this network that says the same joins";
  } else if (facts.by == TrustMode::secret) {
    finding.found = "goes by --cluster-secret: machines with the same file join";
  } else if (!facts.is_member || !facts.ends) {
    finding.found = "alone, a member of no cluster";
    finding.to_do = "let others in: flotilla token create; or join them: flotilla join";
  } else if (*facts.ends <= now) {
    finding.health = Health::bad;
    finding.found = std::format("its membership ended on {:%F}", *facts.ends);
    finding.to_do = "join anew: flotilla join, with a token or a code";
  } else {
    finding.found =
        std::format("member of a cluster until {:%F}{}", *facts.ends,
                    facts.may_sign ? ", and holds its key: keep a copy of HOME/trust/cluster.key offline" : "");
    if (facts.wants_renewal && !facts.signer_is_here && !facts.may_sign) {
      finding.health = Health::warn;
      finding.found += "; renewal is due and no machine that holds the cluster's key is here";
      finding.to_do = std::format("bring that machine back before {:%F}", *facts.ends);
    } else if (facts.wants_renewal) {
      finding.found += "; being renewed";
    }
  }
  if (!facts.join_trouble.empty() && facts.by == TrustMode::none && !facts.is_member) {
    finding.health = Health::bad;
    finding.found += "; was to join by a token: " + facts.join_trouble;
    finding.to_do = "make a new token on a member (flotilla token create) and give it to this machine";
  }
  return finding;
}

Finding check_versions(const FleetFacts& facts) {
  const NodeInfo& self = facts.view.self().info;
  Finding finding{.check = "versions", .found = "", .to_do = ""};
  std::vector<std::string> unlike, older_release, alike, update;
  for (const Member& member : facts.view.members) {
    if (member.state == MemberState::self) continue;
    const std::string release = member.info.version.empty() ? "" : " flotilla " + member.info.version + ",";
    if (const auto version = version_of(member, facts); version != protocol_version) {
      unlike.push_back(std::format("{} runs{} protocol version {}", member.info.name, release, version));
      update.push_back(version < protocol_version ? member.info.name : self.name);
    } else if (!member.info.version.empty() && member.info.version != self.version) {
      older_release.push_back(std::format("{} runs flotilla {}", member.info.name, member.info.version));
    } else if (is_in(member)) {
      alike.push_back(member.info.name);
    }
  }
  finding.found = std::format("{} runs flotilla {}, protocol version {}", self.name, self.version, protocol_version);
  if (!alike.empty()) finding.found += ", as " + joined(alike);
  for (const std::string& each : unlike) finding.found += "; " + each;
  for (const std::string& each : older_release) finding.found += "; " + each;
  if (!unlike.empty()) {
    finding.health = Health::bad;
    std::ranges::sort(update);
    update.erase(std::ranges::unique(update).begin(), update.end());
    finding.to_do = "only equal protocol versions work together: update flotilla on " + joined(update);
  } else if (!older_release.empty()) {
    finding.health = Health::warn;
    finding.to_do = "they work together; install the same release on all to be sure of it";
  }
  return finding;
}

Findings check_clocks(const FleetFacts& facts) {
  Findings findings;
  std::vector<std::string> right;
  for (const Member& member : facts.view.members) {
    const auto known = facts.peers.find(member.info.id);
    if (known == facts.peers.end() || !known->second.clock_ahead) continue;
    const auto ahead = *known->second.clock_ahead;
    if (std::chrono::abs(ahead) < clock_noticeable) {
      right.push_back(member.info.name);
      continue;
    }
    const bool is_too_much = std::chrono::abs(ahead) >= Certificate::clock_slack;
    findings.push_back(
        {.check = "clock",
         .health = is_too_much ? Health::bad : Health::warn,
         .found = std::format("{}'s is {} {} of this machine's{}", member.info.name, span_of(ahead),
                              ahead > 0s ? "ahead" : "behind",
                              is_too_much ? ": beyond 10 minutes machines take each other's certificates for ended or "
                                            "not begun"
                                          : ""),
         .to_do = "set both right: sudo timedatectl set-ntp true"});
  }
  if (!right.empty())
    findings.push_back({.check = "clock", .found = "as that of " + joined(right) + ", within a minute", .to_do = ""});
  return findings;
}

Findings check_peers(const FleetFacts& facts) {
  Findings findings;
  const bool is_alone = std::ranges::none_of(facts.view.members, is_in);
  for (const Member& member : facts.view.members) {
    if (member.state == MemberState::self) continue;
    const Reach* reach = reach_of(facts, member);
    findings.push_back(is_in(member) ? check_joined(member, reach) : check_seen(member, facts, is_alone, reach));
  }
  for (const std::string& name : facts.away)
    findings.push_back(
        {.check = "peer",
         .health = Health::warn,
         .found = name + " is a member and is not here: neither heard nor reached",
         .to_do = std::format("start it (flotilla serve); if it runs, ask it: flotilla doctor there. Gone for "
                              "good: flotilla revoke {}",
                              name)});
  std::vector<std::string> silent;
  for (const Reach& reach : facts.others)
    if (!reach.answered_in) silent.push_back(reach.why);
  if (!silent.empty())
    findings.push_back({.check = "peer",
                        .health = is_alone ? Health::warn : Health::ok,
                        .found = "asked for or met before, and silent: " + joined(silent),
                        .to_do = "is flotilla serve running there, on this network, with its TCP port open?"});
  if (findings.empty())
    findings.push_back({.check = "peer",
                        .health = Health::warn,
                        .found = "no other machine was seen",
                        .to_do = "run flotilla serve on another machine of this network; where it does not carry "
                                 "broadcast and multicast (guest Wi-Fi, VPN), name one: flotilla serve --peer HOST"});
  return findings;
}

}  // namespace flotilla
