// Which key came under which name. For --trust-lan, where nothing else tells machines apart, the first key of a name
// keeps it (trust on first use): meet(). In a cluster it is a list of the members met, so that one that is not here can
// be put out: note(). There a machine is its key, and several may have had one name.
//
// A text file, "ID NAME" a line. Thread: one (Standing guards it); blocks on the disk for each call, and for a write
// where something is new.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "trust/device_id.h"

namespace flotilla {

struct KnownDevice {
  DeviceId device;
  std::string name;
};

class KnownDevices {
 public:
  static constexpr std::size_t lines_max = 1024;

  KnownDevices() = default;
  explicit KnownDevices(std::filesystem::path file);  // empty: remembered in memory only

  // unauthorized where the name is another device's, with what to do. A new name is remembered.
  Status meet(const std::string& name, const DeviceId& device);
  // This device is called so from now on, whoever else is.
  void note(const std::string& name, const DeviceId& device);
  std::vector<KnownDevice> all() const { return read(); }

 private:
  std::vector<KnownDevice> read() const;
  void write();
  std::filesystem::path file_;
  std::vector<KnownDevice> devices_;
};

}  // namespace flotilla
