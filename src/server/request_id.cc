#include "server/request_id.h"

#include <algorithm>
#include <format>

#include "base/ids.h"

namespace flotilla {
namespace {

bool is_harmless(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == ':';
}

}  // namespace

std::string request_id_for(std::string_view wanted) {
  if (!wanted.empty() && wanted.size() <= request_id_bytes_max && std::ranges::all_of(wanted, is_harmless))
    return std::string(wanted);
  return std::format("req_{:016x}", random_u64());
}

}  // namespace flotilla
