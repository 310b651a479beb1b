// Which files of a repository are the model that was asked for. Thread: any; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/control.h"

namespace flotilla {

// "Q4_K_M" of "a/Model-Q4_K_M-00001-of-00002.gguf", "UD-Q4_K_XL" of "Model-UD-Q4_K_XL.gguf"; empty where the name has
// none.
std::string quant_of(std::string_view path);

// All parts of one model, in order. `quant` is a quantization or the name of a file (or of a split file without its
// numbers), in any case; where it is empty: Q4_K_M, else the only model there is. Files that belong to a model and are
// none (mmproj, imatrix) are not considered. not_found lists what there is; invalid_argument where several fit.
Result<std::vector<HubFile>> choose_files(const std::vector<HubFile>& listing, const std::string& repository,
                                          const std::string& quant);

// Whether a file of that name is something beside a model: a projector of pictures, statistics of a quantization.
bool is_companion(std::string_view file_name);

}  // namespace flotilla
