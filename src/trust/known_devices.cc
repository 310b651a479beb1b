#include "trust/known_devices.h"

#include <algorithm>
#include <fstream>

#include "base/log.h"
#include "base/replace_file.h"

namespace flotilla {

KnownDevices::KnownDevices(std::filesystem::path file) : file_(std::move(file)) {}

// Anew each time: a person may have taken a line out.
std::vector<KnownDevice> KnownDevices::read() const {
  if (file_.empty()) return devices_;
  std::vector<KnownDevice> devices;
  std::ifstream file(file_);
  for (std::string line; devices.size() < lines_max && std::getline(file, line);) {
    const auto space = line.find(' ');
    if (space == std::string::npos) continue;
    if (const auto id = device_id_from_string(line.substr(0, space))) devices.push_back({*id, line.substr(space + 1)});
  }
  return devices;
}

Status KnownDevices::meet(const std::string& name, const DeviceId& device) {
  devices_ = read();
  const auto known = std::ranges::find(devices_, name, &KnownDevice::name);
  if (known != devices_.end() && known->device == device) return {};
  if (known != devices_.end())
    return fail(
        Code::unauthorized,
        "[trust] {} was met before with another key: its home was deleted, or another machine takes its name. If "
        "you know why, take its line out of {}",
        name, file_.empty() ? "what this machine remembers, by a restart" : file_.string());
  if (devices_.size() >= lines_max) return {};  // strangers may not fill the disk with names
  devices_.push_back({device, name});
  write();
  return {};
}

void KnownDevices::note(const std::string& name, const DeviceId& device) {
  devices_ = read();
  const auto known = std::ranges::find(devices_, device, &KnownDevice::device);
  if (known != devices_.end() && known->name == name) return;
  if (known != devices_.end())
    known->name = name;
  else if (devices_.size() < lines_max)
    devices_.push_back({device, name});
  else
    return log(LogLevel::warning, "trust", "{} is not remembered: {} names {} machines already", name, file_.string(),
               lines_max);
  write();
}

void KnownDevices::write() {
  if (file_.empty()) return;
  std::string text;
  for (const auto& [id, name] : devices_) text += to_string(id) + ' ' + name + '\n';
  if (const auto written = replace_file(file_, text, 0600); !written)
    log(LogLevel::warning, "trust", "a machine's name is not remembered: {}", written.error().message);
}

}  // namespace flotilla
