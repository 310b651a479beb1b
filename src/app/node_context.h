// What the parts of a node share: the loop, the cluster, the store, and one way to send a frame to any node, itself
// included.
//
// Thread: the loop's, except run_aside's and copy's work.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <string>

#include "app/runner_process.h"
#include "cluster/cluster.h"
#include "hub/store.h"
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
  boost::asio::thread_pool aside{1};   // text work
  boost::asio::thread_pool copies{4};  // fetching layers from others, and verifying them
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

  NodeContext(boost::asio::io_context& io, Store& models, NodeIdentity self)
      : loop(io), store(models), identity(std::move(self)) {}
};

}  // namespace flotilla
