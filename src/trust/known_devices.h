// Which key came under which name. For --trust-lan, where nothing else tells machines apart, the first one keeps it
// (trust on first use); in a cluster it is a list of members met, so that one that is not here can be put out by its
// name.
//
// A text file, "ID NAME" a line. Thread: one (Standing guards it).
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"
#include "trust/device_id.h"

namespace flotilla {

class KnownDevices {
 public:
  static constexpr std::size_t names_max = 1024;

  KnownDevices() = default;
  explicit KnownDevices(std::filesystem::path file);  // empty: remembered in memory only

  // unauthorized where the name is another device's, with what to do. A new name is remembered.
  Status meet(const std::string& name, const DeviceId& device);
  // The name is this device's from now on.
  void note(const std::string& name, const DeviceId& device);
  std::map<std::string, DeviceId> all() const { return read(); }

 private:
  std::map<std::string, DeviceId> read() const;
  void write();
  std::filesystem::path file_;
  std::map<std::string, DeviceId> devices_;
};

}  // namespace flotilla
