// Puts the measurements of this machine together. In: cores, types of weights.  Out: MachineRates (wire/node_info.h).
// Takes some seconds: about two for the division of the cores, half a one for each type.
// Thread: any, one at a time; every core is at work meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/kernel_timing.h"
#include "wire/node_info.h"

namespace flotilla {

struct MeasureOptions {
  std::uint32_t cores = 1;
  std::vector<std::string> types;  // "Q4_K"; those that cannot be made from random numbers are left out
  std::filesystem::path scratch;   // a folder with room for 80 MB
  // Where given: nothing but the types' kernels, with the cores so divided.
  std::optional<CoreDivision> division;
};

// text: "timing Q4_K"; done and total in steps.
using MeasureProgressFn = std::function<void(const std::string& text, std::uint32_t done, std::uint32_t total)>;

Result<MachineRates> measure_machine(const MeasureOptions& options, const MeasureProgressFn& progress);

// What is wanted to tell two versions of the kernels apart: ggml's version and the folder of its libraries.
std::string kernels_version();

// The types whose kernels are measured whatever models there are.
const std::vector<std::string>& common_types();

// Of a list of types as GGUF numbers them, the names of those we can time; each once.
std::vector<std::string> measurable_types(const std::vector<int>& types);

}  // namespace flotilla
