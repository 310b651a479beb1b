// A runner by itself, for tests and benchmarks that want real processes: `runner_tool --fd N` serves the node at the
// other end of descriptor N. With --scripted WIDTH the stage computes by a script (scripted_stage.h) instead of a
// model.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "io/tcp_link.h"
#include "pipeline/runner.h"
#include "pipeline/scripted_stage.h"

namespace flotilla {
namespace {

struct ToolOptions {
  int fd = -1;
  std::uint32_t scripted_width = 0, scripted_layers = 6;
  std::uint32_t step_ms = 0;  // how long a scripted step takes
  RunnerOptions runner;
};

StageLoader scripted_loader(const ToolOptions& tool) {
  return [&tool](const PrepareStage& plan, const LoadProgressFn&, std::unique_ptr<Collective>) -> Result<std::unique_ptr<Stage>> {
    ScriptedStageOptions options;
    options.model.width = tool.scripted_width;
    options.model.layers = tool.scripted_layers;
    options.layers = plan.layers;
    options.is_head = plan.is_head;
    options.sequences = plan.sequences;
    options.context_tokens = plan.context_tokens;
    if (tool.step_ms > 0)
      options.before_step = [&tool](const StepBatch&) -> Status {
        std::this_thread::sleep_for(std::chrono::milliseconds(tool.step_ms));
        return {};
      };
    return make_scripted_stage(options);
  };
}

int run(const ToolOptions& tool) {
  auto link = make_tcp_link(Descriptor(tool.fd));
  const auto status = tool.scripted_width > 0 ? run_runner(std::move(link), tool.runner, scripted_loader(tool))
                                              : run_runner(std::move(link), tool.runner);
  if (status) return 0;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return 1;
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::ToolOptions tool;
  CLI::App app("One stage of a ring, driven over an inherited socket");
  app.add_option("--fd", tool.fd, "the socket to the node")->required();
  app.add_option("--scripted", tool.scripted_width, "compute by a script, with activations this wide");
  app.add_option("--scripted-layers", tool.scripted_layers, "layers of the scripted model");
  app.add_option("--step-ms", tool.step_ms, "how long a scripted step takes");
  app.add_option("--spin", tool.runner.spin_us, "microseconds to poll the ring before sleeping");
  app.add_option("--link", tool.runner.link_model, "slow the ring down to a modelled link");
  CLI11_PARSE(app, argc, argv);
  return flotilla::run(tool);
}
