// Models that can be pulled by a short name: ones that run here, with a quantization that suits most machines.
// Thread: any; pure.
#pragma once

#include <span>
#include <string_view>

namespace flotilla {

struct ShortName {
  std::string_view name, repository, quant;
  std::string_view size;  // of the download, about
};

std::span<const ShortName> short_names();  // small ones first

}  // namespace flotilla
