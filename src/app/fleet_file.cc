#include "app/fleet_file.h"

#include <algorithm>
#include <format>
#include <fstream>

#include "app/machine.h"
#include "app/toml.h"
#include "base/units.h"
#include "base/words.h"
#include "model/gguf.h"
#include "model/spec.h"

namespace flotilla {
namespace {

constexpr std::uint32_t machines_max = 64;  // as many as a cluster has

// Latency one way and rate as such links have been measured from program to program, TCP but for RDMA.
struct LinkProfile {
  const char* name;
  double latency_us, gigabits;
  bool through_switch;
};
constexpr LinkProfile link_profiles[] = {
    {"rdma", 15, 40, false},     {"thunderbolt", 200, 9, false}, {"10gbe", 60, 9.4, true},
    {"2.5gbe", 120, 2.35, true}, {"1gbe", 150, 0.94, true},      {"wifi", 1500, 0.3, true},
};

// The first thing wrong with the file; what is asked for after that is made up.
class FleetReading {
 public:
  explicit FleetReading(std::string path) : path_(std::move(path)) {}

  FleetFile file;

  Status read(const toml::table& whole) {
    only_known(whole, {"title", "currency", "sources", "machine", "instead", "link", "links", "model"});
    file.fleet.title = text(whole, "title", path_);
    file.fleet.currency = text(whole, "currency", "USD");
    if (const toml::array* sources = whole["sources"].as_array())
      for (const toml::node& source : *sources)
        if (const auto words = source.value_exact<std::string>()) file.fleet.sources.push_back(*words);
    file.fleet.machines = machines(whole, "machine");
    file.fleet.instead = machines(whole, "instead");
    if (const toml::table* link = whole["link"].as_table()) file.fleet.link = read_link(*link, {});
    read_links(whole);
    if (const toml::node* models = whole.get("model")) read_models(*models);
    if (wrong_.empty()) return {};
    return fail(Code::invalid_argument, "[app] {}", wrong_);
  }

  void wrong(std::size_t line, const std::string& complaint) {
    if (wrong_.empty()) wrong_ = std::format("{}, line {}: {}", path_, line, complaint);
  }

 private:
  static std::size_t line_of(const toml::node& node) { return node.source().begin.line; }

  void only_known(const toml::table& table, std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : table) {
      if (std::ranges::contains(known, key.str())) continue;
      std::string list;
      for (const auto name : known) list += std::format("{}{}", list.empty() ? "" : ", ", name);
      wrong(line_of(value), std::format("unknown key '{}'; known here: {}", key.str(), list));
    }
  }

  std::string text(const toml::table& table, std::string_view key, std::string absent = "") {
    const toml::node* node = table.get(key);
    if (!node) return absent;
    if (const auto words = node->value_exact<std::string>()) return *words;
    wrong(line_of(*node), std::format("expected text in quotes for '{}'", key));
    return absent;
  }

  double number(const toml::table& table, std::string_view key, double absent, double most) {
    const toml::node* node = table.get(key);
    if (!node) return absent;
    if (const auto value = node->is_number() ? node->value<double>() : std::nullopt;
        value && *value >= 0 && *value <= most)
      return *value;
    wrong(line_of(*node), std::format("expected a number from 0 to {:g} for '{}'", most, key));
    return absent;
  }

  std::uint32_t whole(const toml::table& table, std::string_view key, std::uint32_t absent = 0) {
    const double value = number(table, key, absent, 1e9);
    if (value == static_cast<double>(static_cast<std::uint32_t>(value))) return static_cast<std::uint32_t>(value);
    wrong(line_of(*table.get(key)), std::format("expected a whole number for '{}'", key));
    return absent;
  }

  std::vector<ImaginedMachine> machines(const toml::table& whole_file, const char* section) {
    std::vector<ImaginedMachine> list;
    const toml::node* node = whole_file.get(section);
    if (node && !node->is_array_of_tables())
      wrong(line_of(*node), std::format("expected [[{}]] with two brackets, once for each kind", section));
    std::uint32_t count = 0;
    if (const toml::array* tables = node ? node->as_array() : nullptr)
      for (const toml::node& item : *tables)
        if (const toml::table* table = item.as_table()) {
          list.push_back(machine(*table));
          count += list.back().count;
          if (count <= machines_max) continue;
          wrong(line_of(*table), std::format("expected at most {} machines", machines_max));
          list.pop_back();
          break;
        }
    return list;
  }

  ImaginedMachine machine(const toml::table& table) {
    only_known(table,
               {"name", "count", "kind", "memory", "bandwidth", "compute", "bandwidth_fraction", "price", "watts"});
    ImaginedMachine machine{.name = text(table, "name"), .count = whole(table, "count", 1)};
    const auto memory = parse_bytes(text(table, "memory", "0"));
    if (machine.name.empty()) wrong(line_of(table), "expected a name = \"…\" for each machine");
    if (machine.count < 1 || machine.count > machines_max) {
      wrong(line_of(table), std::format("expected a count from 1 to {} for {}", machines_max, machine.name));
      machine.count = 1;
    }
    if (!memory || *memory == 0)
      wrong(line_of(table), std::format("expected memory = \"112G\" or the like for {}", machine.name));
    machine.memory_bytes = memory ? *memory : 0;
    machine.bytes_per_second = number(table, "bandwidth", 0, 1e6) * 1e9;
    if (machine.bytes_per_second <= 0)
      wrong(line_of(table), std::format("expected bandwidth = GB/s of memory, above 0, for {}", machine.name));
    machine.flops = number(table, "compute", 0, 1e6) * 1e12;
    const std::string kind = text(table, "kind", "pc");
    if (kind != "mac" && kind != "pc") wrong(line_of(table), "expected kind = \"mac\" or \"pc\"");
    machine.bandwidth_fraction =
        number(table, "bandwidth_fraction", kind == "mac" ? mac_bandwidth_fraction : other_bandwidth_fraction, 1);
    if (machine.bandwidth_fraction <= 0) wrong(line_of(table), "expected a bandwidth_fraction above 0");
    machine.price = number(table, "price", 0, 1e9);
    machine.watts = number(table, "watts", 0, 1e6);
    return machine;
  }

  ImaginedLink read_link(const toml::table& table, std::initializer_list<std::string_view> more) {
    std::vector<std::string_view> known{"profile", "name", "latency_us", "gbit", "switch"};
    known.insert(known.end(), more);
    for (const auto& [key, value] : table)
      if (!std::ranges::contains(known, key.str()))
        wrong(line_of(value),
              std::format("unknown key '{}' of a link; known: profile, latency_us, gbit, switch, name", key.str()));
    const std::string name = lower_case(text(table, "profile", "1gbe"));
    const auto* profile = std::ranges::find_if(link_profiles, [&](const auto& each) { return name == each.name; });
    if (profile == std::end(link_profiles)) {
      std::string list;
      for (const auto& each : link_profiles) list += std::format("{}{}", list.empty() ? "" : ", ", each.name);
      wrong(line_of(table), std::format("unknown link profile '{}'; known: {}", name, list));
      profile = &link_profiles[4];
    }
    ImaginedLink link{.name = text(table, "name", table.contains("profile") ? profile->name : "link")};
    link.cost.latency_seconds = number(table, "latency_us", profile->latency_us, 1e7) * 1e-6;
    link.cost.bytes_per_second = number(table, "gbit", profile->gigabits, 1e5) * 1e9 / 8;
    if (link.cost.bytes_per_second <= 0) wrong(line_of(table), "expected gbit above 0");
    link.through_switch = profile->through_switch;
    if (const toml::node* node = table.get("switch")) {
      const auto flag = node->value_exact<bool>();
      if (!flag) wrong(line_of(*node), "expected switch = true or false");
      link.through_switch = flag.value_or(true);
    }
    return link;
  }

  void read_links(const toml::table& whole_file) {
    const toml::array* links = whole_file["links"].as_array();
    const auto machines = counted(file.fleet.machines);
    for (std::size_t i = 0; links && i < links->size(); ++i) {
      const toml::table* table = (*links)[i].as_table();
      const toml::array* pair = table ? (*table)["between"].as_array() : nullptr;
      std::vector<std::string> names;
      for (std::size_t k = 0; pair && k < pair->size(); ++k)
        if (const auto name = (*pair)[k].value_exact<std::string>()) names.push_back(*name);
      const auto exists = [&](const auto& name) {
        return std::ranges::contains(machines, name, &ImaginedMachine::name);
      };
      if (names.size() != 2 || !std::ranges::all_of(names, exists)) {
        wrong(line_of((*links)[i]), "expected between = [\"a\", \"b\"] with two machines of this file in [[links]]");
        return;
      }
      file.fleet.links.push_back({names[0], names[1], read_link(*table, {"between"})});
    }
  }

  void read_models(const toml::node& node) {
    const toml::table* models = node.as_table();
    if (!models) return wrong(line_of(node), "expected [model.\"name\"]");
    for (const auto& [name, value] : *models) {
      const toml::table* table = value.as_table();
      if (!table) return wrong(line_of(value), "expected [model.\"name\"]; a name with a dot stands in quotes");
      file.models[std::string(name.str())] = model(std::string(name.str()), *table);
    }
  }

  ModelDescription model(const std::string& name, const toml::table& table) {
    only_known(table, {"layers", "width", "heads", "kv_heads", "head_length", "feed_forward", "vocabulary", "context",
                       "experts", "experts_used", "experts_shared", "expert_feed_forward", "dense_layers",
                       "latent_length", "rotary_length", "query_latent_length", "bits", "type"});
    ModelDescription model{.name = name,
                           .layers = whole(table, "layers"),
                           .width = whole(table, "width"),
                           .heads = whole(table, "heads"),
                           .kv_heads = whole(table, "kv_heads"),
                           .head_length = whole(table, "head_length"),
                           .feed_forward = whole(table, "feed_forward"),
                           .vocabulary = whole(table, "vocabulary"),
                           .context = whole(table, "context"),
                           .experts = whole(table, "experts"),
                           .experts_used = whole(table, "experts_used"),
                           .experts_shared = whole(table, "experts_shared"),
                           .expert_feed_forward = whole(table, "expert_feed_forward"),
                           .dense_layers = whole(table, "dense_layers"),
                           .latent_length = whole(table, "latent_length"),
                           .rotary_length = whole(table, "rotary_length"),
                           .query_latent_length = whole(table, "query_latent_length"),
                           .bits = number(table, "bits", 0, 32)};
    if (table.contains("type")) model.bits = bits_per_weight(text(table, "type"));
    if (const auto shape = shape_of(model); !shape)
      wrong(line_of(table), std::string(without_room(shape.error().message)));
    return model;
  }

  std::string path_, wrong_;
};

std::string names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".toml" && entry.path().stem() != "models")
      names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return joined(names);
}

// By its name, or a beginning that fits only one.
Result<ModelDescription> described(const std::string& model, const std::map<std::string, ModelDescription>& models) {
  std::vector<const ModelDescription*> fitting;
  std::string known;
  for (const auto& [name, description] : models) {
    if (name == model) return description;
    if (lower_case(name).starts_with(lower_case(model))) fitting.push_back(&description);
    known += (known.empty() ? "" : ", ") + name;
  }
  if (fitting.size() == 1) return *fitting.front();
  return fail(Code::not_found, "[app] expected a described model or a GGUF file but {} '{}'; described are: {}",
              fitting.empty() ? "none is called" : "several begin with", model, known);
}

}  // namespace

Result<FleetFile> read_fleet_file(const std::filesystem::path& path) {
  std::ifstream input(path);
  if (!input) return fail(Code::not_found, "[app] expected to read the fleet {} but cannot open it", path.string());
  FleetReading reading(path.filename().string());
  const toml::parse_result parsed = toml::parse(input);
  if (!parsed)
    return fail(Code::invalid_argument, "[app] {}, line {}: {}", path.filename().string(),
                parsed.error().source().begin.line, parsed.error().description());
  FLOTILLA_TRY_STATUS(reading.read(parsed.table()));
  return std::move(reading.file);
}

std::filesystem::path shipped_fleets() {
  const auto folder = own_executable().parent_path();
  const auto beside = folder / "fleets", installed = folder.parent_path() / "share" / "flotilla" / "fleets";
  return std::filesystem::is_directory(beside) ? beside : installed;
}

Result<std::filesystem::path> find_fleet(const std::string& name, const std::filesystem::path& shipped) {
  if (std::filesystem::is_regular_file(name)) return name;
  if (!name.contains('/'))
    for (const auto& path : {shipped / name, shipped / (name + ".toml")})
      if (std::filesystem::is_regular_file(path)) return path;
  return fail(Code::not_found,
              "[app] expected a fleet's TOML file but '{}' is none; those that come with the program: {}", name,
              names_in(shipped));
}

Result<ModelShape> shape_for_what_if(const std::string& model, const FleetFile& file,
                                     const std::filesystem::path& shipped) {
  if (std::filesystem::is_regular_file(model)) {
    FLOTILLA_TRY(const auto gguf, Gguf::open(model));
    return read_shape(*gguf);
  }
  auto models = file.models;
  if (const auto common = shipped / "models.toml"; std::filesystem::is_regular_file(common)) {
    FLOTILLA_TRY(const auto more, read_fleet_file(common));
    models.insert(more.models.begin(), more.models.end());
  }
  FLOTILLA_TRY(const auto description, described(model, models));
  return shape_of(description);
}

}  // namespace flotilla
