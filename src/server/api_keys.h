// The keys that open the API, known by their hashes only: who holds the list cannot use it.
//
// Thread: any; a value. Looking up takes the same time whichever key it is, or none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "server/access.h"

namespace flotilla {

struct ApiKey {
  std::string id, name;  // id: 8 hexadecimal digits
  Scopes scopes;
  Digest digest{};
  std::int64_t created = 0;  // seconds since 1970
};

// A new key's text: "sk-" and 64 hexadecimal digits of 256 random bits.
std::string make_key_text();
Digest key_digest(std::string_view text);

class ApiKeys {
 public:
  ApiKeys() = default;
  // `local` opens everything for programs on this machine; it is the node's own and does not count as a key.
  explicit ApiKeys(std::vector<ApiKey> keys, std::optional<Digest> local = {})
      : keys_(std::move(keys)), local_(local) {}

  bool empty() const { return keys_.empty(); }
  std::optional<Scopes> scopes_of(std::string_view text, bool from_this_machine) const;

 private:
  std::vector<ApiKey> keys_;
  std::optional<Digest> local_;
};

}  // namespace flotilla
