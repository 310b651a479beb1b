#include "base/secret.h"

#include <openssl/rand.h>

#include "base/check.h"

namespace flotilla {

std::array<std::byte, 32> random_secret() {
  std::array<std::byte, 32> secret;
  check(RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size())) == 1,
        "OpenSSL's generator works");
  return secret;
}

}  // namespace flotilla
