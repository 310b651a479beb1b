// What this machine is and has. One file per system behind these calls (machine_linux.cc, machine_macos.cc).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace flotilla {

std::string machine_name();          // the host's name without domain
std::string processor_name();        // "AMD EPYC", "Apple M2 Ultra"
std::uint32_t processors_allowed();  // cores this process may use (affinity and cgroup quota counted)
// Cores' worth of time this process gets: processors_allowed(), or less where a quota grants only a part of one.
// Changes while a process runs, where its owner throttles it.
double processor_share();
std::uint64_t memory_available_bytes();  // what a new process could take now without swapping, cgroup limit counted
std::filesystem::path own_executable();
// What starts this very program once more, also after an upgrade has replaced its file: the one that runs, not the new.
std::filesystem::path program_to_start();
// Whether a thread of the process waits for a processor or a disk: it would go on if it could. False where that is not
// known, and of one that is stopped.
bool is_starved(int pid);

}  // namespace flotilla
