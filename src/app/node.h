// The node: one machine of the cluster. Ties cluster, store, planner and server together; each decision lives in a
// desk:
//
//   LoadDesk     what clients here want loaded, and who should head it      (asker)
//   HeadDesk     the placements this node heads                             (head)
//   StageHost    the stages this node holds, each in a runner process       (worker)
//   MoveDesk     when such a placement moves to machines that are quicker   (head)
//   RequestDesk  requests entered here, and requests this head computes     (entry, head)
//   EmbedDesk    texts to be made into vectors, the same way                (entry, holder)
//   HeaderDesk   models' headers, from wherever they are                    (every node)
//   ReloadDesk   a new placement for those whose own was lost               (entry)
//   MeasureDesk  what this machine can do                                   (every node)
//   AdmitDesk    who is let into the cluster, and who is put out           (every member)
//   JoinDesk     how this machine comes into one                           (newcomer)
//   OriginDesk   what a hub's name means, for a load                        (asker)
//   PullDesk     whole models from a hub, for clients here                  (every node)
//   StandbyDesk  second copies of models, for when a machine with the only one dies (every node)
//   DoctorDesk   what keeps this machine or its fleet from working          (every node)
//   PowerDesk    mains or battery, and what is offered by it                (every node)
//   WakeDesk     that the system does not go to sleep meanwhile             (worker)
//   LinkDesk     how the others are reached, and how fast                   (every node)
//
// A frame to this node itself takes the same way as one to another: there is no second path for a single machine.
// Thread: the loop's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/admit_desk.h"
#include "app/bulk_links.h"
#include "app/doctor_desk.h"
#include "app/home.h"
#include "app/join_desk.h"
#include "app/key_watch.h"
#include "app/link_desk.h"
#include "app/measure_desk.h"
#include "app/model_desks.h"
#include "app/model_texts.h"
#include "app/node_context.h"
#include "app/origin_desk.h"
#include "app/power_desk.h"
#include "app/pull_desk.h"
#include "app/standby_desk.h"
#include "app/tallies.h"
#include "app/wake_desk.h"
#include "server/backend.h"
#include "server/server.h"

namespace flotilla {

struct NodeOptions {
  std::filesystem::path home;
  std::string name;  // empty: the host's
  std::string api_host = "127.0.0.1";
  std::vector<std::string> api_names, cors_origins;  // as in GateRules, besides what this machine is called anyway
  bool no_auth = false;
  std::uint16_t api_port = 0, cluster_port = 0, discovery_port = 0;
  std::vector<std::string> peers;
  bool discovery = true;
  bool trust_lan = false;
  std::filesystem::path cluster_secret_file;         // empty: none
  std::string join_token;                            // join by it as soon as its cluster is found; empty: none
  std::filesystem::path join_file;                   // with such a token; empty: join_file.h's, where it is there
  std::vector<std::filesystem::path> model_folders;  // besides HOME/models
  std::optional<std::uint64_t> memory_bytes;         // offered to models; none: 80 % of what is available at start
  std::uint32_t threads = 0;                         // 0: every allowed processor
  std::string activations = "f32";                   // f32 | bf16
  bool measure = true;                               // this machine and its links, unasked
  std::optional<std::uint64_t> standby_bytes;  // room for second copies of models; none: a quarter of what is free
  bool replan = true;                          // placements headed here, where machines have changed
  BatteryRules battery;
  std::chrono::seconds stay_awake{600};  // after the last work; 0: the system is never asked
  RunnerSpawnOptions runner;
};

class Node : public Backend {
 public:
  // Opens the home, the store, the ports. The error says what to change.
  static Result<std::unique_ptr<Node>> start(boost::asio::io_context& loop, const NodeOptions& options);
  ~Node() override;

  ClusterView view() const { return cluster_->view(); }
  std::string api_url() const;
  void on_measuring(MeasureDesk::OnProgress observer) { measures_.on_progress(std::move(observer)); }
  void on_view_change(std::function<void()> observer) { observer_ = std::move(observer); }
  void leave(const std::string& reason, std::function<void()> done);  // goodbye, then done

  // Backend
  std::vector<ModelListing> models() override;
  void open(const std::string& model, ModelUse use, OnOpen on_open) override;
  void generate(GenerateRequest request, OnToken on_token) override;
  void cancel(RequestId id) override;
  bool waits(RequestId id) override;
  void embed(EmbedRequest request, OnVectors on_vectors) override;
  void cancel_embedding(RequestId id) override;
  bool ready() override;
  nlohmann::json cluster() override;
  void metrics(MetricsText& text) override;
  void load(const nlohmann::json& arguments, std::function<void(nlohmann::json)> on_progress, OnJson on_done) override;
  void unload(const nlohmann::json& arguments, OnJson on_done) override;
  void plan(const nlohmann::json& arguments, OnJson on_done) override;
  void show(const std::string& model, OnJson on_done) override;
  void doctor(OnJson on_done) override;
  nlohmann::json placements() override;
  std::function<void()> pull(const std::string& model, const std::string& revision, OnLine on_line,
                             OnJson on_done) override;
  nlohmann::json pulls() override;
  void remove(const std::string& model, OnJson on_done) override;
  void search_hub(const std::string& text, OnLine on_found) override;
  std::function<void()> measure(const nlohmann::json& arguments, std::function<void(nlohmann::json)> on_progress,
                                OnJson on_done) override;
  std::function<void()> trust(const std::string& wish, const nlohmann::json& arguments,
                              std::function<void(nlohmann::json)> on_progress, OnJson on_done) override;
  void run_aside(std::function<void()> work, std::function<void()> done) override;

 private:
  Node(boost::asio::io_context& loop, const NodeOptions& options, Home home, KeyWatch keys,
       std::unique_ptr<Store> store, NodeIdentity identity);
  Status open_api();
  NodeInfo describe() const;
  void publish();
  void watch_models();
  Status begin_joining();
  Status leave_cluster(bool force);
  std::function<void()> join(const nlohmann::json& arguments, std::function<void(nlohmann::json)> on_progress,
                             OnJson on_done);
  bool send(const NodeId& to, Frame frame);
  Status offer(const NodeId& to, Frame frame);
  void deliver_to_self(Frame frame);
  void on_frame(const NodeId& from, Frame frame);
  void on_lost(const NodeId& peer, const Error& cause);
  void on_bulk(const NodeId& peer, SecureSocket socket);
  void open_anyway(const std::string& model, const OnOpen& on_open);
  void on_ready_model(const std::string& model, const Placement& placement, const OnOpen& on_open);

  Home home_;
  KeyWatch keys_;
  NodeOptions options_;
  std::unique_ptr<Store> store_;
  NodeContext context_;
  ModelDesks desks_;
  MeasureDesk measures_;
  StandbyDesk standbys_;
  OriginDesk origins_;
  PullDesk pulls_;
  LinkDesk links_;
  AdmitDesk admits_;
  JoinDesk joins_;
  DoctorDesk doctors_;
  PowerDesk power_;
  WakeDesk wakes_;
  ModelTexts texts_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<Server> server_;
  NodeInfo published_;
  boost::asio::steady_timer models_timer_;
  bool leaving_ = false;
  PeerTally peers_;
  std::string join_trouble_;  // with the file of an administrator
  std::function<void()> observer_;
  std::shared_ptr<BulkLinks> bulk_links_;
  boost::asio::thread_pool bulk_pool_{8};
};

}  // namespace flotilla
