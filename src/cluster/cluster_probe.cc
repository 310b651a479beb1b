// A node without a model: joins a cluster and prints its view as JSON lines whenever it changes. For the tests that
// build networks (tests/netns), which need discovery and nothing else.
//
//   cluster_probe --name a [--cluster-port 52414] [--discovery-port 52413] [--no-discovery] [--peer HOST:PORT]...
//                 [--remembered FILE] [--seconds 30]
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "cluster/cluster.h"

namespace flotilla {
namespace {

nlohmann::json describe(const ClusterView& view, double seconds) {
  nlohmann::json members = nlohmann::json::array();
  for (const auto& member : view.members)
    members.push_back({{"name", member.info.name},
                       {"state", to_string(member.state)},
                       {"reason", member.reason},
                       {"host", member.host}});
  return {{"seconds", seconds}, {"members", members}};
}

int probe(ClusterOptions options, const std::string& name, int seconds) {
  const auto began = std::chrono::steady_clock::now();
  boost::asio::io_context loop;
  NodeInfo self;
  options.identity.standing = Standing::in_memory();
  self.id = options.identity.node = options.identity.standing->node();
  self.name = options.identity.name = name;
  self.version = options.identity.release = "0.1.0";
  self.incarnation = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  self.devices = {{.kind = "CPU", .description = "probe", .threads = 1, .memory_bytes = 1}};
  options.identity.trust = TrustMode::trust_lan;
  Cluster* cluster = nullptr;
  Cluster::Events events;
  events.on_view = [&] {
    if (cluster == nullptr) return;
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - began;
    std::cout << describe(cluster->view(), since.count()).dump() << std::endl;
  };
  auto started = Cluster::start(loop, std::move(options), self, events);
  if (!started) {
    std::cerr << started.error().message << '\n';
    return 1;
  }
  cluster = started->get();
  events.on_view();
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) cluster->leave("the probe ends", [&] { loop.stop(); });
  });
  loop.run_for(std::chrono::seconds(seconds));
  return 0;
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  CLI::App app{"Joins a cluster and prints who is there"};
  flotilla::ClusterOptions options{.identity = {},
                                   .cluster_port = flotilla::limits::cluster_port,
                                   .discovery_port = flotilla::limits::discovery_port};
  std::string name;
  int seconds = 30;
  bool no_discovery = false, verbose = false;
  app.add_option("--name", name)->required();
  app.add_option("--cluster-port", options.cluster_port);
  app.add_option("--discovery-port", options.discovery_port);
  app.add_option("--peer", options.peers);
  app.add_option("--remembered", options.remembered_peers);
  app.add_option("--seconds", seconds);
  app.add_flag("--no-discovery", no_discovery);
  app.add_flag("--verbose", verbose);
  CLI11_PARSE(app, argc, argv);
  options.discovery = !no_discovery;
  flotilla::start_log({.level = verbose ? flotilla::LogLevel::debug : flotilla::LogLevel::warning, .name = name});
  return flotilla::probe(std::move(options), name, seconds);
}
