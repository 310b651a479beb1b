// Which program of this machine holds a port. Best effort, for a sentence: the system tells of other users' programs
// only to root.
#pragma once

#include <cstdint>
#include <string>

namespace flotilla {

enum class PortKind : std::uint8_t { tcp, udp };

// "python3 (process 4711)"; "another program" where the system does not tell (and on other systems than Linux).
std::string port_owner(PortKind kind, std::uint16_t port);

}  // namespace flotilla
