// Addresses on the web, taken apart by libcurl as it will itself: what is checked is what is asked. Thread: any; pure.
#pragma once

#include <string>

#include "base/result.h"

namespace flotilla {

// "https://host:443" of an http or https address: who is asked, and how. invalid_argument for any other scheme, and
// where a user's name is in the address (which would be sent as a password).
Result<std::string> origin_of_address(const std::string& address);

// Where `location`, whole or relative, leads from `base`. unauthorized where that is from https to anything else.
Result<std::string> address_from(const std::string& base, const std::string& location);

// Text as one piece of a path or a query.
std::string escaped_for_address(const std::string& text);

}  // namespace flotilla
