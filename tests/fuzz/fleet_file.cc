// Fleets to plan for, as people write them (TOML), and the shapes of the models they describe.
#include "app/fleet_file.h"

#include <cmath>

#include "fuzz.h"
#include "input_file.h"

namespace flotilla::fuzz {
namespace {

void check_fleet(const FleetFile& file) {
  std::uint32_t count = 0;
  for (const ImaginedMachine& machine : file.fleet.machines) {
    claim(!machine.name.empty() && machine.count > 0 && machine.memory_bytes > 0, "a machine is one");
    claim(std::isfinite(machine.bytes_per_second) && machine.bytes_per_second > 0, "its memory can be read");
    count += machine.count;
  }
  claim(count <= 64, "a fleet is no larger than a cluster");
  claim(file.fleet.link.cost.bytes_per_second > 0, "a link carries something");
  for (const auto& [name, description] : file.models) {
    const auto shape = shape_of(description);
    claim(shape && !shape->layers.empty(), "a model that was read has a shape");
    claim(shape->weight_bytes() > 0, "and weighs something");
  }
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const fuzz::InputFile input(fuzz::text_of(fuzz::bytes_of_input(data, size)));
  const auto file = read_fleet_file(input.path());
  if (file)
    fuzz::check_fleet(*file);
  else
    fuzz::claim(file.error().message.starts_with("[app] "), "an error says whose it is");
  return 0;
}
