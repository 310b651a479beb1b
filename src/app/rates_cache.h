// HOME/rates.json: what this machine measured of itself, and under which circumstances: it holds for as long as those
// do, and again where they return. A quota is none of them: what is measured are moments in which it does not throttle.
// {"measured": [{"circumstances": …, "rates": …}]}, latest first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "wire/node_info.h"

namespace flotilla {

struct Circumstances {
  std::string processor;      // "AMD EPYC"
  std::uint32_t threads = 1;  // that a stage may use
  std::string kernels;        // ggml's version and where its libraries lie
  std::string release;        // our own
  bool operator==(const Circumstances&) const = default;
};

// Nothing where there is no such file, it is damaged, or nothing was measured under these circumstances.
std::optional<MachineRates> read_rates(const std::filesystem::path& path, const Circumstances& now);
Status write_rates(const std::filesystem::path& path, const Circumstances& now, const MachineRates& rates);

}  // namespace flotilla
