// What an answer is to keep to, as clients say it: response_format, and our own fields regex and grammar.
#pragma once

#include <string>
#include <string_view>

#include "server/generation_order.h"
#include "server/json_body.h"
#include "server/openai_errors.h"
#include "text/tokenizer.h"

namespace flotilla {

// Sets the order's constraint and constraint_field; faults stay in `fields`. At most one of the three fields.
void read_constraint(JsonFields& fields, GenerationOrder& order);

// The schema as the client wrote it: models write properties in its order, which a parsed object has lost. `body` is
// one that read_constraint() has found good.
void keep_written_order(std::string_view body, GenerationOrder& order);

// Whether it can be kept to; the error names the field it came from. Takes up to a second.
ApiResult<void> check_constraint(const GenerationOrder& order, const Tokenizer& tokenizer);

}  // namespace flotilla
