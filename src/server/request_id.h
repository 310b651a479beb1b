// The id of a request: on its answer as X-Request-Id, and in every line of the log that is about it. Pure but for the
// random number.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flotilla {

inline constexpr std::size_t request_id_bytes_max = 128;

// The client's own where it is harmless in a header and in a log: letters, digits and -_.:, at most
// request_id_bytes_max. Else one of ours: "req_" and sixteen hex digits.
std::string request_id_for(std::string_view wanted);

}  // namespace flotilla
