#include "app/serve_flags.h"

#include <memory>
#include <print>
#include <string>

#include "app/flag_values.h"
#include "app/home.h"
#include "app/log_flags.h"
#include "app/serve.h"
#include "app/trust_verbs.h"
#include "base/limits.h"
#include "server/authority.h"

namespace flotilla {
namespace {

struct ServeFlags {
  ServeOptions options;
  LogFlags log;
  std::string api = "127.0.0.1:52415", memory, standby;
  std::string on_battery = "less", stay_awake = "10m";
  bool no_discovery = false, no_measure = false, no_replan = false;
};

}  // namespace

void add_serve(CLI::App& app, const ConfigFile& config, int& exit_code) {
  auto flags = std::make_shared<ServeFlags>();
  NodeOptions& node = flags->options.node;
  node.home = default_home();
  node.cluster_port = limits::cluster_port;
  node.discovery_port = limits::discovery_port;
  CLI::App* verb =
      app.add_subcommand("serve", "Run this machine's node: find the others, hold its layers, answer clients");
  verb->footer(
      "Examples:\n  flotilla serve                              one machine\n"
      "  flotilla serve --join TOKEN                 join the cluster where flotilla token create made it\n"
      "  flotilla serve --trust-lan                  machines of a lab that trust each other\n"
      "  flotilla serve --cluster-secret key.txt     machines that share a secret file\n"
      "  flotilla serve --memory 8G --models ~/models");
  verb->add_option("--home", node.home, "Folder for this node's identity and the layers it takes from others")
      ->envname("FLOTILLA_HOME")
      ->capture_default_str();
  verb->add_option("--name", node.name, "This machine's name in the fleet (default: its host name)")
      ->envname("FLOTILLA_NAME")
      ->check(validator_of(parse_machine_name, "NAME"));
  verb->add_option("--api", flags->api, "Where clients connect")
      ->envname("FLOTILLA_API")
      ->check(validator_of(parse_host_port, "HOST:PORT"))
      ->capture_default_str();
  verb->add_option("--api-name", node.api_names,
                   "A name under which clients reach the API, besides this machine's own; may be repeated")
      ->envname("FLOTILLA_API_NAME")
      ->check(validator_of(parse_api_name, "NAME"))
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--cors-origin", node.cors_origins,
                   "A site whose pages may use the API, such as https://chat.example; may be repeated")
      ->envname("FLOTILLA_CORS_ORIGIN")
      ->check(validator_of(parse_origin, "ORIGIN"))
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_flag(
          "--no-auth", node.no_auth,
          "While no key exists (flotilla key), let everybody use the API who reaches it, from other machines too")
      ->envname("FLOTILLA_NO_AUTH");
  verb->add_option("--cluster-port", node.cluster_port, "TCP port for the other nodes")
      ->envname("FLOTILLA_CLUSTER_PORT")
      ->capture_default_str();
  verb->add_option("--discovery-port", node.discovery_port, "UDP port on which nodes find each other")
      ->envname("FLOTILLA_DISCOVERY_PORT")
      ->capture_default_str();
  verb->add_option("--peer", node.peers,
                   "A node to connect with where discovery cannot reach, HOST[:PORT]; may be repeated")
      ->envname("FLOTILLA_PEER")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_flag("--no-discovery", flags->no_discovery, "Neither send nor hear beacons")
      ->envname("FLOTILLA_NO_DISCOVERY");
  verb->add_flag("--trust-lan", node.trust_lan, "Join with every node on this network that also says so (a lab only)")
      ->envname("FLOTILLA_TRUST_LAN");
  verb->add_option("--join", node.join_token, "Join a cluster by a token of it (flotilla token create); once is enough")
      ->envname("FLOTILLA_JOIN");
  verb->add_option("--join-file", node.join_file,
                   "A file with such a token, readable by its owner alone, for machines that administrators set up "
                   "(default: /etc/flotilla/join where it is there)")
      ->envname("FLOTILLA_JOIN_FILE");
  verb->add_option("--cluster-secret", node.cluster_secret_file,
                   "Join with nodes that have the same secret in this file")
      ->envname("FLOTILLA_CLUSTER_SECRET");
  verb->add_option("--models", node.model_folders, "Folder with GGUF files, besides HOME/models; may be repeated")
      ->envname("FLOTILLA_MODELS")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--memory", flags->memory,
                   "Memory offered to models, such as 8G; 0 holds no layers, this machine then only takes requests for "
                   "the others (default: 80 % of what is free at start)")
      ->envname("FLOTILLA_MEMORY")
      ->check(validator_of(parse_room, "SIZE"));
  verb->add_option("--standby", flags->standby,
                   "Room on this disk for second copies of models that are loaded and lie on one machine only, such as "
                   "50G; 0 for none (default: a quarter of what is free)")
      ->envname("FLOTILLA_STANDBY")
      ->check(validator_of(parse_room, "SIZE"));
  verb->add_option(
          "--on-battery", flags->on_battery,
          "While it runs on battery this machine offers none, less (half) or all of that memory; with none its "
          "layers go to other machines")
      ->envname("FLOTILLA_ON_BATTERY")
      ->check(CLI::IsMember({"none", "less", "all"}))
      ->capture_default_str();
  verb->add_option("--battery-low", node.battery.low_percent,
                   "On a battery with no more than this, in percent, as with --on-battery none")
      ->envname("FLOTILLA_BATTERY_LOW")
      ->check(CLI::Range(0u, 100u))
      ->capture_default_str();
  verb->add_option(
          "--stay-awake", flags->stay_awake,
          "Ask the system not to sleep while this machine serves and for so long after: 90s, 10m, 1h; 0s: never")
      ->envname("FLOTILLA_STAY_AWAKE")
      ->check(validator_of(seconds_from_text, "TIME"))
      ->capture_default_str();
  verb->add_option("--threads", node.threads, "Compute threads of a stage (default: every core)")
      ->envname("FLOTILLA_THREADS")
      ->check(CLI::Range(1u, 1024u));
  verb->add_option("--activations", node.activations, "How activations travel: f32 exact, bf16 half the bytes")
      ->envname("FLOTILLA_ACTIVATIONS")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  verb->add_flag("--no-measure", flags->no_measure,
                 "Do not time this machine's kernels and links in quiet moments; plans then go by memory alone")
      ->envname("FLOTILLA_NO_MEASURE");
  verb->add_flag("--no-replan", flags->no_replan,
                 "Leave models that this machine heads where they are, also where others have become quicker")
      ->envname("FLOTILLA_NO_REPLAN");
  verb->add_option(
          "--link-model", node.runner.link_model,
          "Slow the ring's links to a model, for experiments, and plan for such: 1gbe, wifi, delay=1ms,rate=1g …")
      ->envname("FLOTILLA_LINK_MODEL")
      ->group("Experiments");
  verb->add_option("--spin-us", node.runner.spin_us,
                   "Poll the ring's sockets this long before sleeping, in microseconds")
      ->envname("FLOTILLA_SPIN_US")
      ->group("Experiments");
  verb->add_option("--leave-with-fd", flags->options.leave_with_fd)->group("");  // set by app/borrowed_node
  add_log_flags(*verb, flags->log);
  // So that what the options write to lives as long as the verb: `config show` replaces its callback.
  verb->preparse_callback([flags](std::size_t) {});
  verb->callback([flags, &config, &exit_code] {
    start_log_from(flags->log, "node");
    NodeOptions& options = flags->options.node;
    options.discovery = !flags->no_discovery;
    options.measure = !flags->no_measure;
    options.replan = !flags->no_replan;
    options.battery.on_battery = on_battery_from_string(flags->on_battery).value_or(OnBattery::less);
    options.stay_awake = std::chrono::seconds(seconds_from_text(flags->stay_awake).value());  // checked, too
    options.runner.log_level = flags->log.level;
    const auto api = parse_host_port(flags->api);  // checked when it was parsed
    options.api_host = api->host;
    options.api_port = api->port;
    if (!flags->memory.empty()) options.memory_bytes = parse_room(flags->memory).value();
    if (!flags->standby.empty()) options.standby_bytes = parse_room(flags->standby).value();
    exit_code = serve(flags->options);
    if (exit_code != 0 && !config.settings().empty()) std::println(stderr, "({})", config.settings());
  });
}

}  // namespace flotilla
