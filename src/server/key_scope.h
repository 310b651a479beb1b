// Whose request it is: the key that a client sent, and who may share, a number for that key and what it says beside it.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/http_exchange.h"

namespace flotilla {

// The key a client sent, however; empty where it sent none.
std::string_view presented_key(const HttpRequest& request);

// Of that key. Alike on every node, so that it does not matter where a client enters; never 0.
std::uint64_t key_scope(const HttpRequest& request, std::string_view salt);

}  // namespace flotilla
