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
#include "app/client_flags.h"
#include "app/completion.h"
#include "app/config_file.h"
#include "app/config_show.h"
#include "app/doctor_verb.h"
#include "app/environment.h"
#include "app/flag_values.h"
#include "app/home.h"
#include "app/hub_flags.h"
#include "app/key_flags.h"
#include "app/log_flags.h"
#include "app/measure_main.h"
#include "app/measure_verb.h"
#include "app/runner_main.h"
#include "app/serve_flags.h"
#include "app/top_flags.h"
#include "app/trust_flags.h"
#include "app/trust_verbs.h"
#include "app/usage_error.h"
#include "app/verbs.h"
#include "app/version.h"
#include "app/what_if_verb.h"
#include "base/limits.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

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

void add_verbs(CLI::App& app, const ConfigFile& config, int& exit_code) {
  add_serve(app, config, exit_code);
  add_run(app, exit_code);
  add_hub_verbs(app, exit_code);
  add_listing(app, "list", "Models the fleet has on disk",
              "Examples:\n  flotilla list\n  flotilla list --json | jq -r '.data[].id'", exit_code, list_models);
  add_listing(app, "ps", "Models loaded now, and who holds which layers",
              "Examples:\n  flotilla ps\n  flotilla ps --json | jq .placements", exit_code, list_placements);
  add_listing(app, "nodes", "Machines of the fleet",
              "Examples:\n  flotilla nodes\n  flotilla nodes --json | jq -r '.nodes[].name'", exit_code, list_nodes);
  add_top(app, exit_code);
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
  add_config(app, add_verbs, exit_code);
  add_completion(app, exit_code);
  add_runner(app, exit_code);
  add_gauge(app, exit_code);
}

int run(int argc, char** argv) {
  CLI::App app{"Flotilla turns the computers you own into one machine for large language models."};
  app.set_version_flag("--version", std::format("flotilla {} (protocol {})", flotilla_version, protocol_version));
  const auto config = std::make_shared<ConfigFile>(app, std::vector<std::string>{"serve"});
  set_config_file(app, config);
  app.require_subcommand(1);
  app.footer(
      "Begin with:  flotilla serve      then, in another terminal:  flotilla list\n"
      "Each verb explains itself:  flotilla VERB --help");
  int exit_code = 0;
  add_verbs(app, *config, exit_code);
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
