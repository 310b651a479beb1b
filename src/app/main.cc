// The command line: flags, their environment variables and the configuration file, and which verb does what.
// Precedence: flag, environment, file, default.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <print>
#include <span>
#include <string>
#include <vector>

#include "app/bench.h"
#include "app/chat.h"
#include "app/config_file.h"
#include "app/doctor_verb.h"
#include "app/environment.h"
#include "app/flag_values.h"
#include "app/home.h"
#include "app/hub_flags.h"
#include "app/key_flags.h"
#include "app/measure_main.h"
#include "app/measure_verb.h"
#include "app/runner_main.h"
#include "app/serve.h"
#include "app/terminal.h"
#include "app/trust_verbs.h"
#include "app/usage_error.h"
#include "app/verbs.h"
#include "app/version.h"
#include "app/what_if_verb.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/units.h"
#include "base/words.h"
#include "server/authority.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

struct LogFlags {
  std::string level = "warning", format = "auto";
};

void start_log_from(const LogFlags& flags, const std::string& name) {
  LogOptions options{.name = name};
  options.level = flags.level == "debug"   ? LogLevel::debug
                  : flags.level == "info"  ? LogLevel::info
                  : flags.level == "error" ? LogLevel::error
                                           : LogLevel::warning;
  options.json = flags.format == "json" || (flags.format == "auto" && !is_terminal(2));
  start_log(options);
}

void add_log_flags(CLI::App& verb, LogFlags& flags) {
  verb.add_option("--log-level", flags.level, "How much to log: debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->envname("FLOTILLA_LOG_LEVEL")
      ->capture_default_str();
  verb.add_option("--log-format", flags.format, "text, json, or auto: text on a terminal, JSON lines elsewhere")
      ->check(CLI::IsMember({"text", "json", "auto"}))
      ->envname("FLOTILLA_LOG_FORMAT")
      ->capture_default_str();
}

struct ServeFlags {
  ServeOptions options;
  LogFlags log;
  std::string api = "127.0.0.1:52415", memory, standby;
  std::string on_battery = "less", stay_awake = "10m";
  bool no_discovery = false, no_measure = false, no_replan = false;
};

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

struct ClientFlags {
  VerbOptions verb;
  LoadWishes wishes;
  ChatOptions chat;
};

void add_client_flags(CLI::App& verb, bool json, const std::shared_ptr<ClientFlags>& flags) {
  flags->verb.api_url = "http://localhost:52415";
  verb.add_option("--api", flags->verb.api_url, "The node to ask, as a URL")
      ->envname("FLOTILLA_API_URL")
      ->capture_default_str();
  verb.add_option("--key", flags->verb.key,
                  "Key to its API, where it asks for one; rather in the environment, which others cannot see")
      ->envname("FLOTILLA_KEY");
  flags->verb.home = default_home();
  verb.add_option("--home", flags->verb.home, "Home of this machine's node, also of one that `run` starts")
      ->envname("FLOTILLA_HOME")
      ->capture_default_str();
  if (json) verb.add_flag("--json", flags->verb.json, "Print JSON, for scripts");
}

std::shared_ptr<ClientFlags> add_client_flags(CLI::App& verb, bool json) {
  auto flags = std::make_shared<ClientFlags>();
  add_client_flags(verb, json, flags);
  return flags;
}

void add_listing(CLI::App& app, const char* name, const char* help, const char* footer, int& exit_code,
                 int (*run)(const VerbOptions&)) {
  CLI::App* verb = app.add_subcommand(name, help);
  verb->footer(footer);
  const auto flags = add_client_flags(*verb, true);
  verb->callback([flags, &exit_code, run] { exit_code = run(flags->verb); });
}

void add_model_verb(CLI::App& app, const char* name, const char* help, const char* footer, int& exit_code,
                    int (*run)(const VerbOptions&, const std::string&)) {
  CLI::App* verb = app.add_subcommand(name, help);
  verb->footer(footer);
  const auto flags = add_client_flags(*verb, true);
  verb->add_option("MODEL", flags->wishes.model, "A model's name, or a beginning of it that fits only one")->required();
  verb->callback([flags, &exit_code, run] { exit_code = run(flags->verb, flags->wishes.model); });
}

CLI::App* add_wishes_verb(CLI::App& app, const char* name, const char* help, const char* footer,
                          const std::shared_ptr<ClientFlags>& flags) {
  CLI::App* verb = app.add_subcommand(name, help);
  verb->footer(footer);
  add_client_flags(*verb, true, flags);
  LoadWishes& wishes = flags->wishes;
  verb->add_option("MODEL", wishes.model, "A model's name, or a beginning of it that fits only one")->required();
  CLI::Option* nodes = verb->add_option("--nodes", wishes.nodes, "Machines to use, in ring order: studio,laptop")
                           ->delimiter(',')
                           ->allow_extra_args(false);
  CLI::Option* layers = verb->add_option("--layers", wishes.layers, "Layers for each of --nodes: 18,12")
                            ->delimiter(',')
                            ->allow_extra_args(false);
  verb->add_option("--mode", wishes.mode,
                   "pipeline: each machine some of the layers; tensor: each a slice of every layer; auto")
      ->check(CLI::IsMember({"auto", "pipeline", "tensor"}))
      ->capture_default_str();
  verb->add_option(
          "--context", wishes.context_tokens,
          "Tokens of context for each of the --sequences (default: 4096, at most what the model was trained for)")
      ->check(CLI::Range(16u, limits::context_tokens_max));
  verb->add_option("--sequences", wishes.sequences, "Answers computed at the same time (default: 4)")
      ->check(CLI::Range(1u, limits::sequences_max));
  layers->needs(nodes);
  return verb;
}

void add_plan(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<ClientFlags>();
  const auto fleet = std::make_shared<std::string>();
  CLI::App* verb = add_wishes_verb(app, "plan", "Which machines would hold what, how fast, and why",
                                   "Examples:\n  flotilla plan smollm2 --context 8192\n  flotilla plan llama-3.3-70b "
                                   "--what-if two-macs-10gbe     machines you do not have",
                                   flags);
  verb->add_option("--what-if", *fleet,
                   "Plan for the machines that this TOML file describes, or for a fleet that comes with the program; "
                   "needs no node. MODEL is then a described model or a GGUF file");
  verb->callback([flags, fleet, &exit_code] {
    exit_code =
        fleet->empty() ? show_plan(flags->verb, flags->wishes) : show_what_if(flags->verb, flags->wishes, *fleet);
  });
}

void add_load(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<ClientFlags>();
  CLI::App* verb = add_wishes_verb(
      app, "load", "Load a model",
      "Examples:\n  flotilla load smollm2\n  flotilla load smollm2 --nodes studio,laptop --layers 20,10", flags);
  verb->callback([flags, &exit_code] { exit_code = load_model(flags->verb, flags->wishes); });
}

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("run", "Ask a model, or chat with it where no prompt is given");
  verb->footer(
      "Examples:\n  flotilla run smollm2 \"why is the sky blue?\"\n  flotilla run smollm2\n  cat notes.txt | flotilla "
      "run smollm2 -");
  const auto flags = add_client_flags(*verb, false);
  ChatOptions& chat = flags->chat;
  verb->add_option("MODEL", chat.model, "A model's name, or a beginning of it that fits only one")->required();
  verb->add_option("PROMPT", chat.prompt, "What to ask; - reads it from standard input; none begins a conversation");
  verb->add_option("--system", chat.system, "Instructions for the model");
  verb->add_option("--temperature", chat.temperature, "0 always takes the likeliest token")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  verb->add_option("--max-tokens", chat.max_tokens, "Longest answer, in tokens")->check(whole_number(1));
  verb->add_option("--seed", chat.seed, "The same seed gives the same answer")->check(whole_number(0));
  verb->add_option("--models", chat.model_folders, "Folders with GGUF files, for the node started where none runs")
      ->envname("FLOTILLA_MODELS")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->callback([flags, &exit_code] {
    flags->chat.verb = flags->verb;
    exit_code = run_chat(flags->chat);
  });
}

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("bench", "One machine against the cluster, measured in turns");
  verb->footer(
      "Loads the model on the best single machine and on the cluster in turns, and afterwards as it was before.\n"
      "Examples:\n  flotilla bench smollm2\n  flotilla bench smollm2 --nodes studio,laptop --streams 1,8\n"
      "  flotilla bench smollm2 --json --svg bench.svg > bench.json");
  const auto flags = add_client_flags(*verb, true);
  const auto bench = std::make_shared<BenchOptions>();
  LoadWishes& cluster = bench->cluster;
  verb->add_option("MODEL", cluster.model, "A model's name, or a beginning of it that fits only one")->required();
  verb->add_option("--svg", bench->svg_path, "Draw a picture into this file");
  verb->add_option("--streams", bench->streams, "Answers at the same time, each count measured: 1,4,16")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1u, limits::sequences_max))
      ->capture_default_str();
  verb->add_option("--prompt", bench->prompt_tokens, "Tokens of each prompt")
      ->check(CLI::Range(1u, limits::context_tokens_max))
      ->capture_default_str();
  verb->add_option("--tokens", bench->tokens, "Tokens of each answer")
      ->check(CLI::Range(2u, limits::context_tokens_max))
      ->capture_default_str();
  verb->add_option("--pairs", bench->pairs, "How often each side is measured, in turns")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  verb->add_option("--single", bench->single, "The one machine (default: the fastest that holds the model)");
  CLI::Option* nodes =
      verb->add_option("--nodes", cluster.nodes, "The cluster's machines, in ring order (default: as planned)")
          ->delimiter(',')
          ->allow_extra_args(false);
  verb->add_option("--layers", cluster.layers, "Layers for each of --nodes")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->needs(nodes);
  verb->add_option("--mode", cluster.mode, "How the cluster spreads layers: auto, pipeline or tensor")
      ->check(CLI::IsMember({"auto", "pipeline", "tensor"}))
      ->capture_default_str();
  verb->callback([flags, bench, &exit_code] {
    bench->verb = flags->verb;
    exit_code = run_bench(*bench);
  });
}

void add_doctor(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("doctor", "What keeps this machine, or the fleet, from working, and what to do");
  verb->footer(
      "Asks this machine's node where one runs, and looks by itself where none does. Ends with 0 where nothing must "
      "be\n"
      "done, with 1 where something must.\n"
      "Examples:\n  flotilla doctor\n  flotilla doctor --json | jq '.checks[] | select(.health != \"ok\")'");
  const auto flags = add_client_flags(*verb, true);
  const auto doctor = std::make_shared<DoctorFlags>(
      DoctorFlags{.cluster_port = limits::cluster_port, .discovery_port = limits::discovery_port});
  verb->add_option("--cluster-port", doctor->cluster_port, "Where no node runs: the TCP port it will be given")
      ->envname("FLOTILLA_CLUSTER_PORT")
      ->capture_default_str();
  verb->add_option("--discovery-port", doctor->discovery_port, "Where no node runs: the UDP port it will be given")
      ->envname("FLOTILLA_DISCOVERY_PORT")
      ->capture_default_str();
  verb->callback([flags, doctor, &exit_code] { exit_code = examine_machine(flags->verb, *doctor); });
}

void add_token(CLI::App& app, int& exit_code) {
  CLI::App* token =
      app.add_subcommand("token", "Tokens that let machines into this machine's cluster: create, list, revoke");
  token->require_subcommand(1);
  token->footer("Example:\n  flotilla token create --ttl 15m --uses 1");
  CLI::App* verb = token->add_subcommand("create", "Make a token; the first one makes this machine's cluster");
  verb->footer("Examples:\n  flotilla token create\n  flotilla token create --ttl 15m --uses 1");
  const auto flags = add_client_flags(*verb, true);
  const auto ttl = std::make_shared<std::string>("1h");
  const auto uses = std::make_shared<std::uint32_t>(20);
  verb->add_option("--ttl", *ttl, "How long it lets machines in: 90s, 15m, 1h, 7d")
      ->check(validator_of(seconds_from_text, "TIME"))
      ->capture_default_str();
  verb->add_option("--uses", *uses, "How many machines it lets in")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  verb->callback([flags, ttl, uses, &exit_code] {
    exit_code = create_token(flags->verb, seconds_from_text(*ttl).value(), *uses);
  });
  CLI::App* list = token->add_subcommand("list", "The tokens that still let machines in");
  const auto list_flags = add_client_flags(*list, true);
  list->callback([list_flags, &exit_code] { exit_code = list_tokens(list_flags->verb); });
  CLI::App* revoke = token->add_subcommand("revoke", "End a token; machines that came by it stay");
  const auto revoke_flags = add_client_flags(*revoke, true);
  const auto id = std::make_shared<std::string>();
  revoke->add_option("ID", *id, "As flotilla token list shows it")->required();
  revoke->callback([revoke_flags, id, &exit_code] { exit_code = end_token(revoke_flags->verb, *id); });
}

void add_join(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("join", "Bring this machine into a cluster");
  verb->footer(
      "With a token that a member made, or by a code that both screens show.\n"
      "Examples:\n  flotilla join flt1-…              a token of flotilla token create\n"
      "  flotilla join                     then, on a member that shows the same code: flotilla approve CODE\n"
      "  flotilla join --peer studio:52414");
  const auto flags = add_client_flags(*verb, true);
  const auto join = std::make_shared<JoinFlags>();
  verb->add_option("TOKEN", join->token, "What flotilla token create printed on a machine of the cluster");
  verb->add_option("--peer", join->peer, "A machine of the cluster, where discovery cannot reach it: HOST[:PORT]");
  verb->add_flag("--yes", join->yes, "By code: do not ask whether the other machine shows the same");
  verb->callback([flags, join, &exit_code] { exit_code = join_cluster(flags->verb, *join); });
}

void add_approve(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("approve", "Let in the machine that shows this code");
  verb->footer("Example:\n  flotilla approve 042917");
  const auto flags = add_client_flags(*verb, true);
  const auto code = std::make_shared<std::string>();
  verb->add_option("CODE", *code, "Six digits, on both screens")->required();
  verb->callback([flags, code, &exit_code] { exit_code = approve_machine(flags->verb, *code); });
}

void add_revoke(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("revoke", "Put a machine out of the cluster, also one that is away");
  verb->footer("Example:\n  flotilla revoke laptop");
  const auto flags = add_client_flags(*verb, true);
  const auto name = std::make_shared<std::string>();
  verb->add_option("NAME", *name, "Its name or its device id, as flotilla members shows them")->required();
  verb->callback([flags, name, &exit_code] { exit_code = revoke_machine(flags->verb, *name); });
}

void add_leave(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("leave", "Take this machine out of its cluster");
  verb->footer("It keeps its models, and may join another cluster or this one again.\nExample:\n  flotilla leave");
  const auto flags = add_client_flags(*verb, true);
  const auto force = std::make_shared<bool>(false);
  verb->add_flag("--force", *force,
                 "Also where this machine holds the cluster's key: nobody is let in or put out there any more");
  verb->callback([flags, force, &exit_code] { exit_code = leave_cluster(flags->verb, *force); });
}

// Started by a node, never by hand (pipeline/runner.h).
void add_runner(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("runner", "Holds one stage; started by a node")->group("");
  auto options = std::make_shared<RunnerMainOptions>();
  auto log = std::make_shared<LogFlags>();
  verb->add_option("--fd", options->fd)->required();
  verb->add_option("--link-model", options->runner.link_model);
  verb->add_option("--spin-us", options->runner.spin_us);
  add_log_flags(*verb, *log);
  verb->callback([options, log, &exit_code] {
    start_log_from(*log, "runner");
    exit_code = runner_main(*options);
  });
}

// Started by a node, never by hand (measure_main.h).
void add_gauge(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("gauge", "Measures this machine; started by a node")->group("");
  auto options = std::make_shared<MeasureMainOptions>();
  auto log = std::make_shared<LogFlags>();
  verb->add_option("--fd", options->fd)->required();
  verb->add_option("--cores", options->cores)->required()->check(CLI::Range(1u, 1024u));
  verb->add_option("--types", options->types)->required()->delimiter(',')->allow_extra_args(false);
  verb->add_option("--scratch", options->scratch)->required();
  verb->add_option("--shards", options->shards)->check(CLI::Range(1u, 1024u));
  add_log_flags(*verb, *log);
  verb->callback([options, log, &exit_code] {
    start_log_from(*log, "measure");
    exit_code = measure_main(*options);
  });
}

void add_measure(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("measure", "What this machine can do, measured by its node");
  verb->footer(
      "Examples:\n  flotilla measure             what its node knows; measured first where it knows nothing\n"
      "  flotilla measure --again     anew; takes some seconds in which nothing should run beside it\n"
      "  flotilla measure --json | jq .memory_bytes_per_second");
  const auto flags = add_client_flags(*verb, true);
  const auto again = std::make_shared<bool>(false);
  verb->add_flag("--again", *again, "Measure anew");
  verb->callback([flags, again, &exit_code] { exit_code = measure_node(flags->verb, *again); });
}

// Whether all that was printed went where it was to go.
int after_writing(int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  std::println(stderr, "flotilla: expected to write to standard output but the system says: {}", std::strerror(errno));
  return exit_code == 0 ? 1 : exit_code;
}

int run(int argc, char** argv) {
  CLI::App app{"Flotilla turns the computers you own into one machine for large language models."};
  app.set_version_flag("--version", std::format("flotilla {} (protocol {})", flotilla_version, protocol_version));
  app.set_config("--config", (default_home() / "config.toml").string(),
                 "Configuration file; [serve] holds the flags of serve")
      ->envname("FLOTILLA_CONFIG");
  const auto config = std::make_shared<ConfigFile>(app, std::vector<std::string>{"serve"});
  app.config_formatter(config);
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.require_subcommand(1);
  app.footer(
      "Begin with:  flotilla serve      then, in another terminal:  flotilla list\n"
      "Each verb explains itself:  flotilla VERB --help");
  int exit_code = 0;
  add_serve(app, *config, exit_code);
  add_run(app, exit_code);
  add_hub_verbs(app, exit_code);
  add_listing(app, "list", "Models the fleet has on disk",
              "Examples:\n  flotilla list\n  flotilla list --json | jq -r '.data[].id'", exit_code, list_models);
  add_listing(app, "ps", "Models loaded now, and who holds which layers",
              "Examples:\n  flotilla ps\n  flotilla ps --json | jq .placements", exit_code, list_placements);
  add_listing(app, "nodes", "Machines of the fleet",
              "Examples:\n  flotilla nodes\n  flotilla nodes --json | jq -r '.nodes[].name'", exit_code, list_nodes);
  add_model_verb(app, "show", "What a model is", "Example:\n  flotilla show smollm2", exit_code, show_model);
  add_plan(app, exit_code);
  add_load(app, exit_code);
  add_model_verb(app, "unload", "Free a model's memory", "Example:\n  flotilla unload smollm2", exit_code,
                 unload_model);
  add_token(app, exit_code);
  add_join(app, exit_code);
  add_approve(app, exit_code);
  add_listing(app, "members", "Machines of this cluster, and those that want to join",
              "Examples:\n  flotilla members\n  flotilla members --json | jq .waiting", exit_code, list_members);
  add_revoke(app, exit_code);
  add_leave(app, exit_code);
  add_measure(app, exit_code);
  add_bench(app, exit_code);
  add_doctor(app, exit_code);
  add_key(app, exit_code);
  add_runner(app, exit_code);
  add_gauge(app, exit_code);
  if (const auto refused = refused_variable(app, std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
      !refused.empty()) {
    std::println(stderr, "flotilla: {}", refused);
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::println(stderr, "flotilla: {}", usage_error(app, *config, error));
    return 2;
  }
  return after_writing(exit_code);
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) { return flotilla::run(argc, argv); }
