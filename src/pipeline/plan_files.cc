#include "pipeline/plan_files.h"

namespace flotilla {

std::vector<std::filesystem::path> files_of(const PrepareStage& plan) { return {plan.files.begin(), plan.files.end()}; }

Result<std::shared_ptr<const Gguf>> open_files(const PrepareStage& plan) {
  if (plan.files.empty())
    return fail(Code::invalid_argument, "[pipeline] expected the model's files but got none for {}", plan.model);
  FLOTILLA_TRY(auto gguf, Gguf::open_parts(files_of(plan), plan.model));
  if (plan.fingerprint.empty() || gguf->fingerprint() == plan.fingerprint) return gguf;
  return fail(
      Code::corrupt,
      "[pipeline] expected {} to be the file the placement means but its header differs; remove {} and load again",
      plan.model, plan.files.front());
}

}  // namespace flotilla
