// How to reach a hub, and where what comes from it is kept: the variables of Hugging Face's own tools, so that whoever
// uses those has set everything already. Thread: any; reads the environment and one small file.
//
//   HF_ENDPOINT               the hub; https://huggingface.co unless set (a mirror, or a company's own)
//   HF_HUB_CACHE, HF_HOME     the shared cache: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub
//   HF_TOKEN                  else the file $HF_TOKEN_PATH or $HF_HOME/token; sent to the endpoint's host alone
//   HF_HUB_OFFLINE            1: ask nobody
//   HF_HUB_DOWNLOAD_TIMEOUT   seconds of silence after which a connection is made anew
//   HTTPS_PROXY, NO_PROXY     and the like are libcurl's; SSL_CERT_FILE names other certificate authorities
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace flotilla {

struct HubSettings {
  std::string endpoint;    // without a slash at its end
  std::string token;       // empty: none
  std::string token_from;  // where it was found, for sentences
  std::filesystem::path cache;
  bool offline = false;
  std::chrono::seconds silence_max{};

  // invalid_argument names the variable that is wrong. Never prints a token.
  static Result<HubSettings> from_environment();
};

// The cache alone; empty where this user has no home.
std::filesystem::path hub_cache_folder();

}  // namespace flotilla
