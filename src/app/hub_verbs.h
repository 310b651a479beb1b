// `flotilla pull`, `rm` and `verify`: models that come from a hub, go again, and are what they were. They work on the
// disk, so that no node need run; one that does finds what has changed within seconds. Each returns the process's exit
// code: 0 done, 1 failed, 3 no hub answers, 130 stopped by Ctrl-C.
#pragma once

#include <filesystem>
#include <string>

#include "hub/hub_limits.h"

namespace flotilla {

struct HubVerbOptions {
  std::string model;  // pull: empty lists the short names; verify: empty takes all
  std::string revision = "main";
  unsigned tries = hub_limits::tries_default;
  std::filesystem::path home;
  bool json = false, yes = false;
};

int pull(const HubVerbOptions& options);
int remove_model(const HubVerbOptions& options);
int verify_models(const HubVerbOptions& options);

}  // namespace flotilla
