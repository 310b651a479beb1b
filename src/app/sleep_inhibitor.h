// Asks the system not to sleep, and takes it back. One file per system: systemd-inhibit as a child that ends with this
// process however that ends (sleep_inhibitor_linux.cc), a power assertion (sleep_inhibitor_macos.cc).
// Thread: one.
#pragma once

#include <memory>
#include <string>

namespace flotilla {

class SleepInhibitor {
 public:
  SleepInhibitor();
  ~SleepInhibitor();  // takes it back, and waits until that is so

  void hold(const std::string& why);  // where it does not hold already
  void release();
  // As far as is known: a system that refuses says so a little later.
  bool holds();
  // Why the system could not be asked, or would not; empty where it was not tried or did. Until the next hold().
  const std::string& trouble() const;

 private:
  struct Request;
  std::unique_ptr<Request> request_;
};

}  // namespace flotilla
