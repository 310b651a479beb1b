// Errors as OpenAI's clients expect them: {"error":{"message","type","param","code"}} under a status that means
// something.
#pragma once

#include "server/api_error.h"
#include "server/json_body.h"

namespace flotilla {

Json error_body(const ApiError& error);  // error_answer() in api_error.h is the whole answer

}  // namespace flotilla
