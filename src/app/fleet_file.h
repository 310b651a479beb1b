// Reads a fleet that nobody has here from a TOML file (docs/planner.md): machines, links, models' shapes. Thread: main.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/described_model.h"
#include "planner/imagined_fleet.h"

namespace flotilla {

struct FleetFile {
  ImaginedFleet fleet;
  std::map<std::string, ModelDescription> models;
};

// not_found, or invalid_argument with the file, the line and what was expected there.
Result<FleetFile> read_fleet_file(const std::filesystem::path& path);

// A path, or the name of a fleet that comes with the program ("two-macs-10gbe"). not_found lists those.
Result<std::filesystem::path> find_fleet(const std::string& name, const std::filesystem::path& shipped);
// Where they lie: fleets/ beside the program, or share/flotilla/fleets/ where it is installed.
std::filesystem::path shipped_fleets();

// The shape of a model the file or models.toml beside the shipped fleets describes, by its name or a beginning that
// fits only one; else of a GGUF file at that path.
Result<ModelShape> shape_for_what_if(const std::string& model, const FleetFile& file,
                                     const std::filesystem::path& shipped);

}  // namespace flotilla
