#include "trust/known_devices.h"

#include <fstream>

#include "base/log.h"
#include "base/replace_file.h"

namespace flotilla {

KnownDevices::KnownDevices(std::filesystem::path file) : file_(std::move(file)) {}

// Anew each time: a person may have taken a line out.
std::map<std::string, DeviceId> KnownDevices::read() const {
  if (file_.empty()) return devices_;
  std::map<std::string, DeviceId> devices;
  std::ifstream file(file_);
  for (std::string line; devices.size() < names_max && std::getline(file, line);) {
    const auto space = line.find(' ');
    if (space == std::string::npos) continue;
    if (const auto id = device_id_from_string(line.substr(0, space))) devices.emplace(line.substr(space + 1), *id);
  }
  return devices;
}

Status KnownDevices::meet(const std::string& name, const DeviceId& device) {
  devices_ = read();
  const auto [known, is_new] = devices_.try_emplace(name, device);
  if (!is_new && known->second == device) return {};
  if (!is_new)
    return fail(
        Code::unauthorized,
        "[trust] {} was met before with another key: its home was deleted, or another machine takes its name. If "
        "you know why, take its line out of {}",
        name, file_.empty() ? "what this machine remembers, by a restart" : file_.string());
  if (devices_.size() > names_max) devices_.erase(known);  // strangers may not fill the disk with names
  write();
  return {};
}

void KnownDevices::note(const std::string& name, const DeviceId& device) {
  devices_ = read();
  const auto known = devices_.find(name);
  if ((known != devices_.end() && known->second == device) || devices_.size() >= names_max) return;
  devices_.insert_or_assign(name, device);
  write();
}

void KnownDevices::write() {
  if (file_.empty()) return;
  std::string text;
  for (const auto& [each, id] : devices_) text += to_string(id) + ' ' + each + '\n';
  if (const auto written = replace_file(file_, text, 0600); !written)
    log(LogLevel::warning, "trust", "a machine's name is not remembered: {}", written.error().message);
}

}  // namespace flotilla
