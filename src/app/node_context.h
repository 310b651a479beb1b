// What the parts of a node share: the loop, the cluster, the store, and one way to send a frame to any node, itself
// included.
//
// Thread: the loop's. Threads of the pools use `loop` to post to, `store`, `identity`, `hub_settings`, `now` and
// `bulk`, none of which changes once the node runs.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <string>

#include "app/runner_process.h"
#include "app/work_pool.h"
#include "cluster/cluster.h"
#include "cluster/instant.h"
#include "hub/hub_settings.h"
#include "hub/store.h"
#include "io/alarm.h"
#include "wire/control.h"
#include "wire/frame.h"
#include "wire/step.h"

namespace flotilla {

struct NodeContext {
  boost::asio::io_context& loop;
  Store& store;
  NodeIdentity identity;
  Epoch next_epoch;  // counter: placements issued by this node
  ActivationType activation_type = ActivationType::f32;
  RunnerSpawnOptions runner;
  // Of this machine: its token, its proxy, its cache.
  std::function<Result<HubSettings>()> hub_settings = HubSettings::from_environment;
  // What a desk has of the world besides frames. Those who drive desks by hand (tests, sim/) put their own here before
  // any desk is made.
  std::function<Instant()> now = [] { return std::chrono::steady_clock::now(); };
  SetAlarm alarm;
  std::function<std::uint64_t()> random = random_u64;
  SpawnRunner spawn;
  // To a joined node, for the copy threads: connect_bulk().
  std::function<Result<std::unique_ptr<Link>>(const NodeId& peer, const std::string& host, std::uint16_t port)> bulk;
  // Set by the node once the cluster runs.
  // To self: delivered by the loop, like any other. False where `to` is not connected: no answer will come.
  std::function<bool(const NodeId& to, Frame frame)> send;
  // The same for requests, which come in bursts: unavailable where not connected, busy where too much waits for `to`.
  std::function<Status(const NodeId& to, Frame frame)> offer;
  std::function<void()> changed;  // something in NodeInfo changed: tell the others
  std::function<ClusterView()> view;
  // From whoever knows: a stage here computes or loads; and what its runner counted, alone or beside another's work.
  std::function<void()> working = [] {};
  std::function<void(const StageStats&, bool is_alone)> stage_stats = [](const StageStats&, bool) {};
  std::function<void(PlacementId)> stage_ended = [](PlacementId) {};  // that was held here
  // Last, so that they end first: their threads use what is above.
  WorkPool aside{1};      // text work
  WorkPool copies{4};     // fetching layers from others, and verifying them
  WorkPool downloads{8};  // the same with a hub, which may take hours each
  WorkPool pulls{8};      // whole models from it: hours each, too, and no load waits for them
  WorkPool asks{4};       // short questions to it

  NodeContext(boost::asio::io_context& io, Store& models, NodeIdentity self)
      : loop(io),
        store(models),
        identity(std::move(self)),
        alarm(alarms_on(io)),
        spawn([&io](const RunnerSpawnOptions& options, SpawnedRunner::OnFrame on_frame, SpawnedRunner::OnExit on_exit) {
          return RunnerProcess::spawn(io, options, std::move(on_frame), std::move(on_exit));
        }),
        bulk([this](const NodeId& peer, const std::string& host, std::uint16_t port) {
          return connect_bulk(identity, peer, host, port);
        }) {}
  NodeContext(const NodeContext&) = delete;
  NodeContext& operator=(const NodeContext&) = delete;
};

}  // namespace flotilla
