#include "app/runner_main.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "app/child.h"
#include "app/model_vocabulary.h"
#include "base/log.h"
#include "io/tcp_link.h"
#include "model/gguf.h"

namespace flotilla {
namespace {

// Only where an answer has a constraint: a vocabulary takes a second and tens of megabytes.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const PrepareStage& plan) {
  const std::vector<std::filesystem::path> files(plan.files.begin(), plan.files.end());
  FLOTILLA_TRY(const auto gguf, Gguf::open_parts(files, plan.model));
  FLOTILLA_TRY(auto data, read_vocabulary(*gguf));
  return Tokenizer::create(std::move(data));
}

}  // namespace

int runner_main(const RunnerMainOptions& options) {
  begin_as_child();
  RunnerOptions runner = options.runner;
  runner.load_tokenizer = load_tokenizer;
  const Status status = run_runner(make_tcp_link(Descriptor(options.fd)), runner);
  if (status) return 0;
  log(LogLevel::info, "app", "this stage ended: {}", status.error().message);
  return 1;
}

}  // namespace flotilla
