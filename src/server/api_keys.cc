#include "server/api_keys.h"

#include "base/hex.h"
#include "base/secret.h"

namespace flotilla {

std::string make_key_text() { return "sk-" + to_hex(random_secret()); }

Digest key_digest(std::string_view text) { return sha256(bytes_of(text)); }

std::optional<Scopes> ApiKeys::scopes_of(std::string_view text, bool from_this_machine) const {
  const Digest digest = key_digest(text);
  std::optional<Scopes> found;
  // Every key is looked at, also after the right one: where it stands is nobody's business.
  for (const ApiKey& key : keys_)
    if (equal_in_constant_time(digest, key.digest)) found = key.scopes;
  if (local_ && from_this_machine && equal_in_constant_time(digest, *local_)) found = Scopes(Scope::admin);
  return found;
}

}  // namespace flotilla
