#include "sim/run.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/spec.h"
#include "planner/planner.h"
#include "sim/faults.h"

namespace flotilla::sim {
namespace {

constexpr std::size_t machines_min = 3, machines_max = 5;
constexpr Duration step = 500ms;           // between looks at whether it is over
constexpr Duration joined_within = 10s;    // all, after all is healed
constexpr Duration answered_within = 15s;  // a request that comes then
constexpr Duration ended_within = 200s;    // every request: limits::resume_wait_max, and a load that began just before
constexpr Duration let_go_within = 10s;    // all that a model takes, after it was unloaded
constexpr std::uint64_t memory_slack_bytes = 1u << 20;

constexpr std::array<std::pair<std::string_view, Plant>, 5> plants{{{"none", Plant::none},
                                                                    {"two-heads", Plant::two_heads},
                                                                    {"old-epoch", Plant::old_epoch},
                                                                    {"forgotten-member", Plant::forgotten_member},
                                                                    {"doubled-token", Plant::doubled_token}}};

const std::shared_ptr<const Gguf>& the_model() {
  static const std::shared_ptr<const Gguf> model = make_model();
  return model;
}

// So much that a machine can hold so many layers and the head's parts.
std::uint64_t memory_for(std::uint32_t layers) {
  static const ModelShape shape = [] {
    auto read = read_shape(*the_model());
    check(read.has_value(), "the simulated model has a shape");
    return *std::move(read);
  }();
  return stage_need(shape, {0, layers}, true, shape.context_length, limits::sequences_default).total() +
         memory_reserve_bytes + memory_slack_bytes;
}

class Run {
 public:
  explicit Run(const RunOptions& options)
      : world_(options.seed, machines_max, options.tells_all),
        referee_(world_, options.plant),
        network_(world_, machines_max),
        fleet_{.world = world_, .network = network_, .referee = referee_, .model = the_model()},
        clients_(fleet_),
        faults_(fleet_) {}
  ~Run();

  Outcome play();

 private:
  void furnish();
  void invite();
  bool go_on(Duration length, const std::function<bool()>& is_over);
  void check_joined();
  void check_answers();
  void check_ends();
  void check_nothing_stays();
  std::string what_stays() const;

  World world_;
  Referee referee_;
  Network network_;
  Fleet fleet_;
  Clients clients_;
  Faults faults_;
};

Run::~Run() {
  for (std::size_t machine = 0; machine < fleet_.machines.size(); ++machine) fleet_.end(machine, true);
  world_.forget_all();
}

Outcome Run::play() {
  furnish();
  invite();
  faults_.plan();
  clients_.expect_answers_from(faults_.healed_at() + joined_within + answered_within);
  while (world_.now() < faults_.healed_at() && !referee_.breach())
    world_.run_until(std::min(world_.now() + step, faults_.healed_at()));
  world_.note("all is healed");
  for (const auto check_one : {&Run::check_joined, &Run::check_answers, &Run::check_ends, &Run::check_nothing_stays})
    if (!referee_.breach()) (this->*check_one)();
  return {.breach = referee_.breach(),
          .last_notes = {world_.notes().begin(), world_.notes().end()},
          .sums = clients_.sums(),
          .seconds = world_.seconds(),
          .digest = world_.digest()};
}

// Together the machines can hold the model even where one is missing, most of the time.
void Run::furnish() {
  const std::size_t count = machines_min + world_.below(machines_max - machines_min + 1);
  fleet_.machines.resize(count);
  fleet_.keepsakes.resize(count);
  std::uint32_t layers = 0;
  for (std::size_t machine = 0; machine < count; ++machine) {
    constexpr std::array<std::uint32_t, 5> sizes{2, 3, 4, 6, 6};
    std::uint32_t size = sizes[world_.below(sizes.size())];
    if (machine + 1 == count && layers + size < model_layers + 2) size = model_layers;
    layers += size;
    fleet_.nodes.push_back(random_node_id([this] { return world_.random(); }));
    fleet_.memory_bytes.push_back(memory_for(size));
    fleet_.has_file.push_back(machine == 0 || world_.chance(0.7));
    world_.after(world_.between(0s, 2s), [this, machine] { fleet_.start(machine); });
  }
}

void Run::invite() {
  for (std::uint64_t count = 4 + world_.below(9); count > 0; --count)
    world_.after(world_.between(1s, 30s), [this] { clients_.enter(world_.below(fleet_.machines.size())); });
}

// True where it was over in time, or a breach made it so.
bool Run::go_on(Duration length, const std::function<bool()>& is_over) {
  const Instant until = world_.now() + length;
  while (!is_over()) {
    if (referee_.breach()) return true;
    if (world_.now() >= until) return false;
    world_.run_until(std::min(world_.now() + step, until));
  }
  return true;
}

void Run::check_joined() {
  go_on(joined_within, [] { return false; });
  for (std::size_t machine = 0; machine < fleet_.machines.size(); ++machine) {
    const ClusterView view = fleet_.machines[machine]->view();
    for (std::size_t other = 0; other < fleet_.machines.size(); ++other) {
      if (other == machine) continue;
      const Member* member = view.find(fleet_.nodes[other]);
      if (!member || member->state != MemberState::joined ||
          member->info.incarnation != fleet_.machines[other]->incarnation())
        referee_.blame(heals, "m{} sees m{} as {}", machine, other,
                       !member                                ? "nobody"
                       : member->state == MemberState::joined ? "an earlier process"
                                                              : to_string(member->state));
    }
  }
}

void Run::check_answers() {
  const std::size_t probe = clients_.count();
  clients_.enter(world_.below(fleet_.machines.size()), false);
  if (!go_on(answered_within, [&] { return clients_.has_ended(probe); }) || !clients_.is_answered(probe))
    referee_.blame(heals, "a request that comes when all is well is not answered: {}", clients_.story(probe));
}

void Run::check_ends() {
  if (!go_on(ended_within, [&] { return clients_.all_ended(); }))
    referee_.blame(requests_end, "{}", clients_.describe_open());
}

void Run::check_nothing_stays() {
  fleet_.machines[world_.below(fleet_.machines.size())]->desks().loads.unload(model_name, [this](const auto& unloaded) {
    world_.note("unloaded: {}", unloaded ? "yes" : unloaded.error().message);
  });
  if (!go_on(let_go_within, [&] { return what_stays().empty(); })) referee_.blame(no_leaks, "{}", what_stays());
}

std::string Run::what_stays() const {
  std::string list;
  const auto count = [&](std::size_t machine, std::size_t number, std::string_view what) {
    if (number > 0) list += std::format("{}m{} has {} {}", list.empty() ? "" : ", ", machine, number, what);
  };
  for (std::size_t machine = 0; machine < fleet_.machines.size(); ++machine) {
    const ModelDesks& desks = fleet_.machines[machine]->desks();
    count(machine, desks.heads.placements().size(), "placements");
    count(machine, desks.stages.memory_taken_bytes(), "bytes taken");
    count(machine, fleet_.machines[machine]->runners(), "runners");
    count(machine, desks.reloads.waiting().size(), "searches");
    count(machine, desks.requests.open_requests(), "requests entered");
    count(machine, desks.requests.routed_requests(), "requests routed");
    count(machine, desks.loads.open_orders(), "orders");
  }
  count(0, referee_.stages_held(), "stages held somewhere");
  return list;
}

}  // namespace

Outcome run(const RunOptions& options) { return Run(options).play(); }

std::optional<Plant> plant_from(std::string_view name) {
  const auto found = std::ranges::find(plants, name, [](const auto& plant) { return plant.first; });
  return found == plants.end() ? std::nullopt : std::optional(found->second);
}

std::string_view to_string(Plant plant) {
  return std::ranges::find(plants, plant, [](const auto& each) { return each.second; })->first;
}

std::string describe(const RunOptions& options, const Outcome& outcome) {
  if (!outcome.breach) return std::format("seed {} keeps its word", options.seed);
  std::string text = std::format("seed {} breaks {} at {:.3f} s: {}\n", options.seed, outcome.breach->invariant,
                                 outcome.breach->seconds, outcome.breach->what);
  for (const std::string& note : outcome.last_notes) text += note + "\n";
  const std::string plant = options.plant == Plant::none ? "" : std::format(" --plant {}", to_string(options.plant));
  return text + std::format("again: build/release/sim/flotilla_sim --seed {}{} --tell\n", options.seed, plant);
}

}  // namespace flotilla::sim
