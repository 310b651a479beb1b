#include "app/doctor_verb.h"

#include <nlohmann/json.hpp>
#include <print>

#include "app/api_client.h"
#include "app/client_key.h"
#include "app/doctor_desk.h"
#include "app/local_key.h"
#include "app/machine.h"
#include "app/port_owner.h"
#include "app/version.h"
#include "base/limits.h"
#include "base/words.h"
#include "server/authority.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto answer_patience = 6s;  // an examination takes two seconds at most; a stranger may never answer

struct ApiPlace {
  std::string host = "127.0.0.1";
  std::uint16_t port = limits::api_port;
  bool is_here = true;
};

ApiPlace place_of(const std::string& url) {
  const auto begin = url.contains("://") ? url.find("://") + 3 : 0;
  const auto authority = parse_authority(url.substr(begin, url.find('/', begin) - begin));
  if (!authority) return {};
  ApiPlace place{.host = authority->host == "localhost" ? "127.0.0.1" : authority->host};
  if (!authority->port.empty()) place.port = static_cast<std::uint16_t>(std::atoi(authority->port.c_str()));
  place.is_here = place.host.starts_with("127.") || place.host == "::1" || place.host == machine_name();
  return place;
}

// Why there is no answer of a node, where it could be expected here.
Finding no_node(const VerbOptions& options, const ApiPlace& place, const Error& error) {
  Finding finding{
      .check = "node", .health = Health::bad, .found = std::string(without_room(error.message)), .to_do = ""};
  const std::string owner = port_owner(PortKind::tcp, place.port);
  const std::string address = noted_api_address(options.home);
  if (!address.empty() && !address.ends_with(std::format(":{}", place.port)) && ApiClient(address).answers()) {
    finding.found =
        std::format("the node of {} has its API at {}, not at {}", options.home.string(), address, options.api_url);
    finding.to_do = std::format("flotilla doctor --api http://{}", address);
  } else if (error.message.contains("no node answers")) {
    finding.found = std::format("no node runs here: nothing answers at {}", options.api_url);
    finding.to_do = "flotilla serve";
  } else {
    finding.found = std::format("{} listens at {} and does not answer as a Flotilla node", owner, options.api_url);
    finding.to_do = "stop it, or give the node another port: flotilla serve --api 127.0.0.1:PORT";
  }
  return finding;
}

int print(const VerbOptions& options, const Checkup& checkup) {
  if (options.json)
    std::println("{}", checkup_json(checkup).dump(2));
  else
    std::print("{}", draw(checkup));
  return worst(checkup.findings) == Health::bad ? 1 : 0;
}

}  // namespace

int examine_machine(const VerbOptions& options, const DoctorFlags& flags) {
  ApiClient client(options.api_url, client_key(options));
  client.give_up_after(answer_patience);
  const auto answer = client.get("/cluster/doctor");
  if (answer) return print(options, checkup_from_json(*answer));
  const ApiPlace place = place_of(options.api_url);
  if (!place.is_here || answer.error().code != Code::unavailable) return report(answer.error());
  Checkup checkup{.name = machine_name(),
                  .release = std::string(flotilla_version),
                  .protocol = protocol_version,
                  .findings = {no_node(options, place, answer.error())}};
  for (Finding& finding : examine_alone(options.home, {.api_host = place.host,
                                                       .api = place.port,
                                                       .cluster = flags.cluster_port,
                                                       .discovery = flags.discovery_port}))
    checkup.findings.push_back(std::move(finding));
  return print(options, checkup);
}

}  // namespace flotilla
