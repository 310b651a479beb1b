// A node whose stages compute by a script, in a time that is told: so that what is measured and tested of many streams
// is the node's own work. `stub_node serve --home DIR --api HOST:PORT --cluster-port PORT --models DIR [--name NAME]
// [--step-us N]`, then load a model and ask. The file gives tokenizer and shape; its weights are never read.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "app/child.h"
#include "app/serve.h"
#include "cluster/address.h"
#include "io/tcp_link.h"
#include "pipeline/runner.h"
#include "pipeline/scripted_stage.h"

namespace flotilla {
namespace {

constexpr std::uint32_t layers = 1, vocabulary = 2000;

struct StubOptions {
  ServeOptions serve;
  std::string api = "127.0.0.1:0";
  std::uint32_t step_us = 0;
};

int serve_stub(StubOptions stub) {
  const auto api = parse_address(stub.api, 0);
  if (!api) {
    std::fprintf(stderr, "%s\n", api.error().message.c_str());
    return 2;
  }
  NodeOptions& node = stub.serve.node;
  node.api_host = api->host;
  node.api_port = api->port;
  node.discovery = node.measure = node.replan = false;
  node.runner.verb = "stub-runner";
  node.runner.words = {"--step-us", std::to_string(stub.step_us)};
  return serve(stub.serve);
}

int run_stub(int fd, std::uint32_t step_us) {
  begin_as_child();
  const auto load = [step_us](const PrepareStage& plan, const LoadProgressFn&,
                              std::unique_ptr<Collective>) -> Result<std::unique_ptr<Stage>> {
    ScriptedStageOptions script;
    script.model.layers = layers;
    script.model.vocabulary = vocabulary;
    script.layers = {0, layers};
    script.is_head = plan.is_head;
    script.sequences = plan.sequences;
    script.context_tokens = plan.context_tokens;
    script.before_step = [step_us](const StepBatch&) -> Status {
      std::this_thread::sleep_for(std::chrono::microseconds(step_us));
      return {};
    };
    return make_scripted_stage(std::move(script));
  };
  return run_runner(make_tcp_link(Descriptor(fd)), RunnerOptions(), load) ? 0 : 1;
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  CLI::App app("A node that computes by a script, for tests and benchmarks of many streams");
  app.require_subcommand(1);
  flotilla::StubOptions stub;
  auto& node = stub.serve.node;
  auto* serve = app.add_subcommand("serve", "a node");
  serve->allow_extras();  // flags of `flotilla serve` that say what is so here anyway
  serve->add_option("--home", node.home)->required();
  serve->add_option("--name", node.name);
  serve->add_option("--api", stub.api, "HOST:PORT")->capture_default_str();
  serve->add_option("--cluster-port", node.cluster_port)->required();
  serve->add_option("--models", node.model_folders);
  serve->add_option("--step-us", stub.step_us, "how long each step takes")->capture_default_str();
  int fd = -1;
  auto* runner = app.add_subcommand("stub-runner", "one stage, for the node at the other end of --fd");
  runner->allow_extras();
  runner->add_option("--fd", fd)->required();
  runner->add_option("--step-us", stub.step_us);
  CLI11_PARSE(app, argc, argv);
  return runner->parsed() ? flotilla::run_stub(fd, stub.step_us) : flotilla::serve_stub(stub);
}
