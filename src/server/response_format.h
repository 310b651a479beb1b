// What an answer is to keep to, as clients say it: response_format, and our own fields regex and grammar.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "server/backend.h"
#include "server/choice.h"
#include "server/generation_order.h"
#include "server/json_body.h"
#include "server/openai_errors.h"
#include "text/json_text.h"

namespace flotilla {

inline constexpr std::size_t schema_name_bytes_max = 64;  // OpenAI's

// Sets the order's constraint and constraint_field; faults stay in `fields`. At most one of the three fields.
void read_constraint(JsonFields& fields, GenerationOrder& order);

// The same of other dialects, from what stands in their `field`: {"type": "json_schema", "schema": …}, or a schema.
void read_format(JsonFields& fields, const std::string& field, const nlohmann::json& format, GenerationOrder& order);
void read_schema(JsonFields& fields, const std::string& field, const nlohmann::json& schema, GenerationOrder& order);

// The schema as the client wrote it: models write properties in its order, which a parsed object has lost.
void keep_schema_order(const std::optional<JsonText>& written, GenerationOrder& order);

// What the answer to each prompt keeps to: the form that was ordered, behind what the chat's rules say. An error names
// the field that cannot be kept to. Takes up to a second for each different one.
ApiResult<void> constrain(const GenerationOrder& order, const OpenModel& model, std::span<Prompt> prompts);

}  // namespace flotilla
