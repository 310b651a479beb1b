#include "app/client_key.h"

#include "app/local_key.h"

namespace flotilla {

std::string client_key(const VerbOptions& options) {
  return options.key.empty() ? local_key_for(options.home, options.api_url) : options.key;
}

}  // namespace flotilla
