// The model's files as a runner's plan names them.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "wire/control.h"

namespace flotilla {

std::vector<std::filesystem::path> files_of(const PrepareStage& plan);
// invalid_argument where there are none, corrupt where they are not those that the placement means.
Result<std::shared_ptr<const Gguf>> open_files(const PrepareStage& plan);

}  // namespace flotilla
