// The key by which the commands of a node's own user, on its own machine, go on working where the API asks for keys.
//
// The node makes a new one at each start and writes it with its address into HOME/local.json, which only its owner
// reads; it opens everything, but to callers on this machine only. Commands send it to nobody else: not to another
// address, not to another port, where a stranger could listen for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "base/sha256.h"

namespace flotilla {

Result<Digest> make_local_key(const std::filesystem::path& home, const std::string& api_host, std::uint16_t api_port);
void forget_local_key(const std::filesystem::path& home);

// For a node whose home this is and whose API is at this URL; empty where there is none that could be sent there.
std::string local_key_for(const std::filesystem::path& home, const std::string& api_url);

// "127.0.0.1:52415", of the node that runs with this home; empty where none does, or did not end by itself.
std::string noted_api_address(const std::filesystem::path& home);

}  // namespace flotilla
