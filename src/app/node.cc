#include "app/node.h"

#include <algorithm>
#include <boost/asio/ip/host_name.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/embedded_page.h"
#include "app/fleet.h"
#include "app/local_key.h"
#include "app/machine.h"
#include "app/node_json.h"
#include "app/node_metrics.h"
#include "app/rates_json.h"
#include "app/unpack.h"
#include "app/version.h"
#include "base/embed_limits.h"
#include "base/log.h"
#include "base/units.h"
#include "cluster/bulk.h"
#include "hub/hub_settings.h"
#include "hub/ollama_store.h"
#include "model/spec.h"
#include "wire/joining.h"

namespace flotilla {

using nlohmann::json;
using namespace std::chrono_literals;

namespace {

constexpr auto models_rescan_interval = 5s;
constexpr std::size_t secret_bytes_min = 16, secret_bytes_max = 4096;

Result<std::string> read_secret(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string secret(std::istreambuf_iterator<char>(file), {});
  if (!file.good() && !file.eof())
    return fail(Code::not_found,
                "[app] cannot read the cluster secret {}; give every machine the same file with --cluster-secret FILE",
                path.string());
  // As a key is looked at, but said and not refused: secrets that are mounted into containers often are like this.
  std::error_code unknown;
  constexpr auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
  if (const auto mode = std::filesystem::status(path, unknown).permissions();
      !unknown && (mode & others) != std::filesystem::perms::none)
    log(LogLevel::warning, "app",
        "the cluster secret {} can be read by others on this machine, and whoever has it is in the cluster for good; "
        "run: chmod 600 {}",
        path.string(), path.string());
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.size() < secret_bytes_min || secret.size() > secret_bytes_max)
    return fail(Code::invalid_argument,
                "[app] expected {} to {} bytes in {} but got {}; make one with: head -c 24 /dev/urandom | base64 > {}",
                secret_bytes_min, secret_bytes_max, path.string(), secret.size(), path.string());
  return secret;
}

Result<NodeIdentity> make_identity(const NodeOptions& options, const Home& home) {
  NodeIdentity identity{{.node = home.standing()->node(),
                         .name = options.name.empty() ? machine_name() : options.name,
                         .release = std::string(flotilla_version),
                         .cluster_port = options.cluster_port},
                        home.standing()};
  if (options.trust_lan && !options.cluster_secret_file.empty())
    return fail(Code::invalid_argument,
                "[app] expected --trust-lan or --cluster-secret but got both; the secret alone is safer");
  if (options.trust_lan) identity.trust = TrustMode::trust_lan;
  if (!options.cluster_secret_file.empty()) {
    FLOTILLA_TRY(identity.secret, read_secret(options.cluster_secret_file));
    identity.trust = TrustMode::secret;
  }
  return identity;
}

std::uint64_t microseconds_since_1970() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

// The names by which clients on this network know the machine: its host's, the fleet's, each also as multicast DNS has
// it, and the host's with its domain where it knows that.
std::vector<std::string> names_of(const NodeOptions& options, const std::string& name) {
  std::vector<std::string> names = options.api_names;
  if (options.api_host != "0.0.0.0" && options.api_host != "::") names.push_back(options.api_host);
  for (const std::string& own : {machine_name(), name}) names.insert(names.end(), {own, own + ".local"});
  boost::system::error_code none;
  names.push_back(boost::asio::ip::host_name(none));
  return names;
}

NodeOptions with_defaults(NodeOptions options) {
  if (!options.memory_bytes) options.memory_bytes = memory_available_bytes() / 5 * 4;
  if (options.threads == 0) options.threads = processors_allowed();
  return options;
}

}  // namespace

Node::Node(boost::asio::io_context& loop, const NodeOptions& options, Home home, KeyWatch keys,
           std::unique_ptr<Store> store, NodeIdentity identity)
    : home_(std::move(home)),
      keys_(std::move(keys)),
      options_(options),
      store_(std::move(store)),
      context_(loop, *store_, std::move(identity)),
      desks_(context_, *options_.memory_bytes, options_.threads),
      measures_(context_, {.unasked = options_.measure, .threads = options_.threads, .home = home_.path()}),
      standbys_(context_, options_.standby_bytes),
      origins_(context_),
      pulls_(context_, home_.path()),
      links_(context_, {.is_quiet = [this] { return measures_.is_quiet(); },
                        .addresses_of = [this](const NodeId& node) { return cluster_->addresses_of(node); },
                        .prefer_host = [this](const NodeId& node,
                                              std::string host) { cluster_->prefer_host(node, std::move(host)); }}),
      admits_(context_, [this]() -> Cluster& { return *cluster_; }),
      joins_(context_, [this]() -> Cluster& { return *cluster_; }),
      doctors_(context_,
               {.home = home_.path(),
                .ports = {.api_host = options_.api_host,
                          .api = options_.api_port,
                          .cluster = options_.cluster_port,
                          .discovery = options_.discovery_port},
                .beacons = options_.discovery,
                .battery = options_.battery},
               [this]() -> Cluster& { return *cluster_; }),
      power_(context_, options_.battery),
      wakes_(context_, options_.stay_awake, [this] { return desks_.stages.memory_taken_bytes() > 0; }),
      texts_(context_),
      models_timer_(loop),
      bulk_links_(std::make_shared<BulkLinks>([standing = context_.identity.standing](const Certificate& shown) {
        return standing->judge_again(shown, "the machine that asks", wall_time());
      })) {
  admits_.when_judged = [links = bulk_links_] { links->judge(); };
  context_.next_epoch = {microseconds_since_1970(), 0};
  context_.activation_type = options_.activations == "bf16" ? ActivationType::bf16 : ActivationType::f32;
  context_.runner = options_.runner;
  context_.send = [this](const NodeId& to, Frame frame) { return send(to, std::move(frame)); };
  context_.offer = [this](const NodeId& to, Frame frame) { return offer(to, std::move(frame)); };
  context_.changed = [this] { publish(); };
  context_.view = [this] { return cluster_->view(); };
  context_.working = [this] {
    measures_.on_work();
    wakes_.on_work();
  };
  context_.stage_stats = [this](const StageStats& stats, bool is_alone) { measures_.on_stats(stats, is_alone); };
  context_.stage_ended = [this](PlacementId placement) { measures_.on_stage_ended(placement); };
}

Result<std::unique_ptr<Node>> Node::start(boost::asio::io_context& loop, const NodeOptions& given) {
  const NodeOptions options = with_defaults(given);
  if (const auto token = JoinToken::parse(options.join_token); !options.join_token.empty() && !token)
    return fail(token.error());
  FLOTILLA_TRY(Home home, Home::open(options.home));
  FLOTILLA_TRY(KeyWatch keys, KeyWatch::start(home.path()));
  FLOTILLA_TRY(NodeIdentity identity, make_identity(options, home));
  StoreOptions store_options{.home = home.path(),
                             .folders = options.model_folders,
                             .hub_cache = hub_cache_folder(),
                             .ollama = ollama_folder()};
  store_options.folders.push_back(home.models());
  FLOTILLA_TRY(auto store, Store::open(std::move(store_options)));
  std::unique_ptr<Node> node(
      new Node(loop, options, std::move(home), std::move(keys), std::move(store), std::move(identity)));
  // Before the cluster: a node whose API may not open is never seen by others. Nobody is answered until the loop runs.
  FLOTILLA_TRY_STATUS(node->open_api());

  ClusterOptions cluster{.identity = node->context_.identity,
                         .cluster_port = options.cluster_port,
                         .discovery_port = options.discovery_port,
                         .discovery = options.discovery,
                         .peers = options.peers,
                         .remembered_peers = node->home_.remembered_peers()};
  Node* self = node.get();
  Cluster::Events events{
      .on_view =
          [self] {
            if (self->observer_) self->observer_();
          },
      .on_frame = [self](const NodeId& from, Frame frame) { self->on_frame(from, std::move(frame)); },
      .on_joined = [self](const NodeId& peer) { self->admits_.on_joined(peer); },
      .on_guest_frame = [self](const Guest& guest,
                               const Frame& frame) { self->admits_.guests().on_frame(guest, frame); },
      .on_guest_gone = [self](std::uint64_t guest) { self->admits_.guests().on_gone(guest); },
      .on_lost = [self](const NodeId& peer, const Error& cause) { self->on_lost(peer, cause); },
      .on_bulk = [self](const HandshakePeer& peer,
                        SecureSocket socket) { self->on_bulk(peer.node, std::move(socket)); }};
  node->measures_.begin();
  node->published_ = node->describe();
  auto joined = Cluster::start(loop, std::move(cluster), node->published_, std::move(events));
  if (!joined && (joined.error().code == Code::busy || joined.error().code == Code::permission))  // the port's errors
    return fail(joined.error().code, "{} with --cluster-port", joined.error().message);
  FLOTILLA_TRY(node->cluster_, std::move(joined));
  node->publish();
  node->watch_models();
  node->links_.begin(options.measure);
  node->standbys_.begin();
  if (options.replan) node->desks_.moves.begin();
  node->admits_.begin();
  node->power_.begin();
  node->wakes_.begin();
  FLOTILLA_TRY_STATUS(node->begin_joining());
  return node;
}

Status Node::open_api() {
  ServerOptions server{.host = options_.api_host,
                       .port = options_.api_port,
                       .limits = {},
                       .gate = {.names = names_of(options_, context_.identity.name),
                                .origins = options_.cors_origins,
                                .no_auth = options_.no_auth},
                       .keys = [this]() -> const ApiKeys& { return keys_.now(); },
                       .page = embedded_page()};
  auto started = Server::start(context_.loop, std::move(server), *this);
  if (!started && started.error().code == Code::unauthorized && home_.path() != default_home())
    return fail(Code::unauthorized, "{} (a key of this node: flotilla key create --home {})", started.error().message,
                home_.path().string());
  FLOTILLA_TRY(server_, std::move(started));
  // Without it commands on this machine need a key of somebody's, where there are keys: no reason not to serve.
  if (const auto local = make_local_key(home_.path(), options_.api_host, server_->port()))
    keys_.set_local(*local);
  else
    log(LogLevel::warning, "app", "commands on this machine will need --key: {}", local.error().message);
  return {};
}

Node::~Node() {
  if (server_) forget_local_key(home_.path());
  bulk_links_->close_for_good({Code::closed, "[app] the node is stopping"});
  bulk_pool_.join();
}

std::string Node::api_url() const {
  const bool any = options_.api_host == "0.0.0.0" || options_.api_host == "::";
  const std::string host = any || options_.api_host == "127.0.0.1" ? "localhost" : options_.api_host;
  return std::format("http://{}:{}", host, server_ ? server_->port() : options_.api_port);
}

NodeInfo Node::describe() const {
  NodeInfo info;
  info.id = context_.identity.node;
  info.name = context_.identity.name;
  info.version = flotilla_version;
  info.incarnation = context_.next_epoch.incarnation;
  info.revision = published_.revision;
  desks_.describe(info, power_.offered(*options_.memory_bytes));
  info.keeps_constraints = true;
  info.on_battery = power_.power().on_battery;
  info.battery_percent = power_.power().charge_percent.value_or(0);
  info.devices = {{.kind = "CPU",
                   .description = processor_name(),
                   .threads = options_.threads,
                   .memory_bytes = *options_.memory_bytes}};
  info.api_port = server_ ? server_->port() : options_.api_port;
  info.cluster_port = options_.cluster_port;
  info.rates = measures_.rates();
  info.links = links_.links();
  info.standby_bytes = standbys_.room_bytes();
  info.standbys = standbys_.copies();
  info.may_sign = context_.identity.standing->may_sign();
  return info;
}

void Node::publish() {
  if (!cluster_) return;
  desks_.stages.set_rates(measures_.rates());
  NodeInfo info = describe();
  if (info == published_) return;
  ++info.revision;
  published_ = info;
  cluster_->set_self(std::move(info));
  if (observer_) observer_();
}

// Files come and go in the model folders while the node runs.
void Node::watch_models() {
  models_timer_.expires_after(models_rescan_interval);
  models_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    context_.copies.post([this, store = store_.get(), loop = &context_.loop] {
      store->refresh();
      boost::asio::post(*loop, [this] {
        publish();
        if (!leaving_) watch_models();
      });
    });
  });
}

bool Node::send(const NodeId& to, Frame frame) {
  if (to == context_.identity.node) {
    deliver_to_self(std::move(frame));
    return true;
  }
  const bool sent = cluster_->send(to, frame);
  if (sent) peers_.sent_bytes += frame_header_bytes + frame.body.size();
  if (!sent)
    log(LogLevel::debug, "app", "{} frame for {} dropped: not connected", to_string(frame.header.kind), to_string(to));
  return sent;
}

Status Node::offer(const NodeId& to, Frame frame) {
  if (to == context_.identity.node) {
    deliver_to_self(std::move(frame));
    return {};
  }
  const Status offered = cluster_->offer(to, frame);
  if (offered) peers_.sent_bytes += frame_header_bytes + frame.body.size();
  return offered;
}

void Node::deliver_to_self(Frame frame) {
  boost::asio::post(context_.loop,
                    [this, frame = std::move(frame)]() mutable { on_frame(context_.identity.node, std::move(frame)); });
}

void Node::on_frame(const NodeId& from, Frame frame) {
  if (from != context_.identity.node) peers_.received_bytes += frame_header_bytes + frame.body.size();
  if (desks_.on_frame(from, frame)) return;
  const auto& body = frame.body;
  switch (frame.header.kind) {
    case FrameKind::trust_order:
      return unpack(decode_trust_order(body), frame, [&](auto message) { admits_.on_order(from, std::move(message)); });
    case FrameKind::trust_answer:
      return unpack(decode_trust_answer(body), frame, [&](const auto& message) { admits_.on_answer(from, message); });
    case FrameKind::revocations:
      return unpack(decode_revocations(body), frame,
                    [&](const auto& message) { admits_.on_revocations(from, message); });
    default:
      log(LogLevel::warning, "app", "{} sent an unexpected {} frame", name_of(view(), from),
          to_string(frame.header.kind));
  }
}

void Node::on_lost(const NodeId& peer, const Error& cause) {
  ++peers_.lost;
  desks_.on_lost(peer, cause);
  links_.on_lost(peer);
  bulk_links_->close(peer, cause);
}

void Node::on_bulk(const NodeId& peer, SecureSocket socket) {
  if (!bulk_links_->wait()) return;  // closes it; the asker says so and tries again
  const BulkLinks::Asker asker{
      .node = peer,
      .shown = context_.identity.trust == TrustMode::none && socket.tls ? socket.tls->peer() : std::nullopt};
  std::shared_ptr<Link> link = make_tcp_link(std::move(socket), {.rest_max = bulk_rest_max});
  boost::asio::post(bulk_pool_, [this, asker, link, links = bulk_links_] {
    if (const auto begun = links->begin(*link, asker); !begun) return link->close(begun.error());
    const auto served =
        store_->serve(*link, [this](Link& from, const Frame& frame) { return links_.answer(from, frame); });
    links_.on_bulk_closed(*link);
    if (!served && served.error().code != Code::closed)
      log(LogLevel::info, "app", "a copy to another machine ended early: {}", served.error().message);
    links->end(*link);
  });
}

void Node::leave(const std::string& reason, std::function<void()> done) {
  leaving_ = true;
  models_timer_.cancel();
  measures_.stop();
  desks_.moves.stop();
  links_.stop();
  admits_.stop();
  joins_.stop();
  power_.stop();
  wakes_.stop();
  server_->stop();
  cluster_->leave(reason, std::move(done));
}

// --- Backend -------------------------------------------------------------------------------------

namespace {

// 0 where the model's header is not among these.
std::uint32_t trained_context(const std::vector<StoredModel>& stored, const std::string& fingerprint) {
  const auto model =
      std::ranges::find(stored, fingerprint, [](const StoredModel& each) { return each.info.fingerprint; });
  if (model == stored.end()) return 0;
  const auto tokens = model->gguf->number(model->gguf->architecture() + ".context_length");
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(tokens.value_or(0), limits::context_tokens_max));
}

std::uint32_t vector_length_of(const Gguf& gguf) {
  const auto length = gguf.number(gguf.architecture() + ".embedding_length");
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(length.value_or(0), limits::vector_length_max));
}

}  // namespace

std::vector<ModelListing> Node::models() {
  const ClusterView view = this->view();
  const auto stored = store_->list();
  std::vector<ModelListing> list;
  for (const ModelInfo& info : models_of(view)) {
    ModelListing listing{.name = info.name,
                         .state = "on disk",
                         .created = static_cast<std::int64_t>(published_.incarnation / 1'000'000),
                         .file_bytes = info.file_bytes};
    if (const Placement* placement = placement_of(view, info.name)) {
      listing.state = to_string(placement->state);
      listing.context_tokens = placement->context_tokens;
    } else {
      listing.context_tokens = trained_context(stored, info.fingerprint);
    }
    list.push_back(std::move(listing));
  }
  return list;
}

// Nothing is loaded for a use that it is not for. Of what is loaded, the placement says which it is; else the header.
void Node::open(const std::string& model, ModelUse use, OnOpen on_open) {
  const auto answer = [this, model, use, on_open](bool embeds) {
    if (use != ModelUse::text_only && embeds != (use == ModelUse::embed)) return on_open(fail(wrong_use(model, use)));
    open_anyway(model, on_open);
  };
  const ClusterView view = this->view();
  if (const Placement* placement = placement_of(view, model); placement && placement->state == PlacementState::ready)
    return answer(placement->embeds);
  desks_.headers.want(model, "", [this, model, answer, on_open](const Result<StoredModel>& stored) {
    if (!stored) return open_anyway(model, on_open);  // it may be waited for, and knows its errors best
    answer(is_embedder(*stored->gguf));
  });
}

void Node::open_anyway(const std::string& model, const OnOpen& on_open) {
  desks_.reloads.open(model, [this, model, on_open](const Result<Placement>& placement) {
    if (!placement) return on_open(fail(placement.error()));
    desks_.requests.on_opened(*placement);
    desks_.embeds.on_opened(*placement);
    on_ready_model(model, *placement, on_open);
  });
}

void Node::on_ready_model(const std::string& model, const Placement& placement, const OnOpen& on_open) {
  desks_.headers.want(model, placement.fingerprint, [this, placement, on_open](const Result<StoredModel>& stored) {
    if (!stored) return on_open(fail(stored.error()));
    const std::uint32_t vector_length = placement.embeds ? vector_length_of(*stored->gguf) : 0;
    texts_.want(*stored, [placement, vector_length, on_open](const Result<ModelText>& text) {
      if (!text) return on_open(fail(text.error()));
      on_open(std::make_shared<const OpenModel>(OpenModel{.name = placement.model,
                                                          .placement = placement.id,
                                                          .context_tokens = placement.context_tokens,
                                                          .tokenizer = text->tokenizer,
                                                          .chat_template = text->chat_template,
                                                          .vector_length = vector_length}));
    });
  });
}

void Node::generate(GenerateRequest request, OnToken on_token) {
  desks_.requests.generate(std::move(request), std::move(on_token));
}
void Node::cancel(RequestId id) { desks_.requests.cancel(id); }
bool Node::waits(RequestId id) { return desks_.requests.waits(id); }
void Node::embed(EmbedRequest request, OnVectors on_vectors) {
  desks_.embeds.embed(std::move(request), std::move(on_vectors));
}
void Node::cancel_embedding(RequestId id) { desks_.embeds.cancel(id); }

bool Node::ready() {
  const ClusterView view = this->view();
  return std::ranges::any_of(view.members, [](const Member& member) {
    return member.state != MemberState::seen && std::ranges::any_of(member.info.placements, [](const Placement& p) {
             return p.state == PlacementState::ready;
           });
  });
}

json Node::cluster() {
  json body = cluster_json(view());
  body["nodes"][0]["keeps_awake"] = wakes_.keeps_awake();  // of the others nobody knows
  return body;
}

void Node::metrics(MetricsText& text) {
  const ClusterView view = this->view();
  write_fleet(text, view);
  write_placements(text, view, [this](PlacementId id) { return desks_.heads.stats(id); });
  write_tallies(text, desks_.heads.tally(), desks_.requests.tally(), peers_);
  write_process(text, static_cast<double>(published_.incarnation) / 1e6);
}

json Node::placements() {
  const ClusterView view = this->view();
  json list = json::array();
  for (const Member& member : view.members)
    for (const Placement& placement : member.info.placements) {
      json entry = placement_json(placement, view);
      if (const auto* stats = desks_.heads.stats(placement.id)) entry["stats"] = stats_json(*stats);
      if (desks_.heads.find(placement.id)) entry["wishes"] = wishes_json(desks_.heads.order(placement.id));
      list.push_back(std::move(entry));
    }
  return {{"placements", list}, {"waiting", waiting_json(view)}};
}

namespace {

// What a load has told of itself: of the machines that fetch at the same time, each.
class LoadTold {
 public:
  json with(const LoadProgress& progress) {
    json line{{"text", progress.text}, {"done_bytes", progress.done_bytes}, {"total_bytes", progress.total_bytes}};
    if (!progress.machine.empty()) machines_[progress.machine] = {progress.done_bytes, progress.total_bytes};
    for (const auto& [name, bytes] : machines_)
      line["machines"].push_back({{"name", name}, {"done_bytes", bytes.first}, {"total_bytes", bytes.second}});
    return line;
  }

 private:
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> machines_;
};

}  // namespace

void Node::load(const json& arguments, std::function<void(json)> on_progress, OnJson on_done) {
  auto order = load_model_from_json(arguments);
  if (!order) return on_done(fail(order.error()));
  const auto told = std::make_shared<LoadTold>();
  const auto on_load_progress = [on_progress, told](const LoadProgress& progress) {
    on_progress(told->with(progress));
  };
  origins_.resolve(
      *std::move(order),
      [on_progress](const std::string& note) { on_progress({{"text", note}, {"done_bytes", 0}, {"total_bytes", 0}}); },
      [this, on_load_progress, on_done](Result<LoadModel> resolved) {
        if (!resolved) return on_done(fail(resolved.error()));
        desks_.loads.load(*std::move(resolved), on_load_progress, [this, on_done](const Result<Placement>& placement) {
          if (!placement) return on_done(fail(placement.error()));
          on_done(placement_json(*placement, view()));
        });
      });
}

std::function<void()> Node::pull(const std::string& model, const std::string& revision, OnLine on_line,
                                 OnJson on_done) {
  const std::uint64_t watcher = pulls_.pull(model, revision, std::move(on_line), std::move(on_done));
  return [this, watcher] { pulls_.leave(watcher); };
}
json Node::pulls() { return pulls_.pulls(); }
void Node::remove(const std::string& model, OnJson on_done) { pulls_.remove(model, std::move(on_done)); }
void Node::search_hub(const std::string& text, OnLine on_found) { origins_.search(text, std::move(on_found)); }

void Node::unload(const json& arguments, OnJson on_done) {
  const auto order = load_model_from_json(arguments);
  if (!order) return on_done(fail(order.error()));
  desks_.loads.unload(order->model, [on_done, model = order->model](const Result<Placement>& placement) {
    if (!placement) return on_done(fail(placement.error()));
    on_done(json{{"model", model}, {"state", "unloaded"}});
  });
}

void Node::plan(const json& arguments, OnJson on_done) {
  const auto order = load_model_from_json(arguments);
  if (!order) return on_done(fail(order.error()));
  desks_.loads.plan(*order, [order = *order, on_done](const Result<Plan>& plan) {
    if (!plan) return on_done(fail(plan.error()));
    on_done(plan_json(*plan, order));
  });
}

void Node::show(const std::string& model, OnJson on_done) {
  desks_.headers.want(model, "", [this, model, on_done](const Result<StoredModel>& stored) {
    const std::string skipped = stored ? "" : context_.store.why_skipped(model);
    if (!skipped.empty()) return on_done(fail(Code::corrupt, "[app] {}", skipped));
    if (!stored) return on_done(fail(stored.error()));
    on_done(model_json(*stored));
  });
}

std::function<void()> Node::measure(const json& arguments, std::function<void(json)> on_progress, OnJson on_done) {
  const bool again = arguments.is_object() && arguments.contains("again") && arguments["again"] == true;
  const std::uint64_t asker = measures_.want(
      again,
      [on_progress](const MeasureDesk::Progress& progress) {
        on_progress({{"text", progress.text}, {"done", progress.done}, {"total", progress.total}});
      },
      [on_done](const Result<MachineRates>& rates) {
        if (!rates) return on_done(fail(rates.error()));
        on_done(rates_json(*rates));
      });
  return [this, asker] { measures_.leave(asker); };
}

void Node::run_aside(std::function<void()> work, std::function<void()> done) {
  // Moved, not copied: whatever `done` holds belongs to the loop's thread, its end too.
  context_.aside.post([context = &context_, work = std::move(work), done = std::move(done)]() mutable {
    work();
    boost::asio::post(context->loop, std::move(done));
  });
}

}  // namespace flotilla
