// For tests: desks each alone; what they send is caught, what the cluster looks like is told by the test.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/node_context.h"
#include "model/test_gguf.h"

namespace flotilla {

// This node, called "harbour", with the file of a model called "tiny", and "island" beside it.
class Desks : public testing::Test {
 protected:
  Desks() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flotilla-desk-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(folder_ / "models");
    const TestGguf gguf = TinyModel().build();
    Bytes file = gguf.header();
    file.resize(gguf.file_bytes());
    std::ofstream(folder_ / "models" / "tiny.gguf", std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    store_ = Store::open({.home = folder_, .folders = {folder_ / "models"}}).value();
    context_.emplace(loop_, *store_, NodeIdentity{{.node = harbour_, .name = "harbour"}, Standing::in_memory()});
    context_->send = [this](const NodeId& to, const Frame& frame) {
      if (to == unreachable_) return false;
      sent_.emplace_back(to, frame);
      return true;
    };
    context_->offer = [this](const NodeId& to, const Frame& frame) -> Status {
      if (to == unreachable_) return fail(Code::unavailable, "[test] not connected");
      if (to == crowded_) return fail(Code::busy, "[test] too much waits");
      sent_.emplace_back(to, frame);
      return {};
    };
    context_->changed = [this] { ++changes_; };
    context_->view = [this] { return view_; };
    add(harbour_, "harbour", MemberState::self);
    add(island_, "island", MemberState::joined);
    view_.members[0].info.models = {store_->list().at(0).info};
  }
  ~Desks() override {
    context_->copies.join();
    std::filesystem::remove_all(folder_);
  }

  void add(const NodeId& id, const std::string& name, MemberState state) {
    Member member{.state = state};
    member.info.id = id;
    member.info.name = name;
    member.info.memory_bytes = member.info.memory_free_bytes = 8ull << 30;
    view_.members.push_back(member);
  }
  Placement placed_on(const NodeId& head, PlacementState state = PlacementState::ready) {
    return {.id = {7},
            .model = "tiny",
            .fingerprint = store_->list().at(0).info.fingerprint,
            .state = state,
            .stages = {{.nodes = {head}, .layers = {0, 2}}},
            .context_tokens = 256,
            .sequences = 4};
  }
  std::vector<FrameKind> kinds_sent() const {
    std::vector<FrameKind> kinds;
    for (const auto& [to, frame] : sent_) kinds.push_back(frame.header.kind);
    return kinds;
  }
  void turn() {
    context_->copies.wait();
    loop_.restart();
    loop_.poll();
  }

  const NodeId harbour_ = random_node_id(), island_ = random_node_id();
  std::filesystem::path folder_;
  boost::asio::io_context loop_;
  std::unique_ptr<Store> store_;
  std::optional<NodeContext> context_;
  ClusterView view_;
  NodeId unreachable_, crowded_;
  std::vector<std::pair<NodeId, Frame>> sent_;
  int changes_ = 0;
};

}  // namespace flotilla
