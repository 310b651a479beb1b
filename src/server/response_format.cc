#include "server/response_format.h"

#include <algorithm>
#include <format>
#include <ranges>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "text/constraint.h"

namespace flotilla {
namespace {

constexpr std::size_t schema_name_bytes_max = 64;    // OpenAI's
constexpr std::size_t schema_properties_max = 4096;  // of one object: keeping their order takes the square of it

bool has_crowded_object(const nlohmann::json& value) {
  if (!value.is_structured()) return false;
  if (value.is_object() && value.size() > schema_properties_max) return true;
  return std::ranges::any_of(value, has_crowded_object);
}

void read_schema(JsonFields& fields, const nlohmann::json& format, GenerationOrder& order) {
  JsonFields outer(format, "response_format.");
  const auto* described = outer.object("json_schema");
  if (described == nullptr)
    return fields.expected("response_format", "an object \"json_schema\" with a name and a schema", format);
  JsonFields inner(*described, "response_format.json_schema.");
  const auto name = inner.text("name");
  const auto* schema = inner.object("schema");
  inner.boolean("strict");  // we are always
  if (inner.fault()) return fields.adopt(*inner.fault());
  if (!name || name->empty() || name->size() > schema_name_bytes_max)
    return fields.wrong("response_format", Code::invalid_argument,
                        std::format("expected response_format.json_schema.name to be a text of at most {} bytes",
                                    schema_name_bytes_max));
  if (schema == nullptr)
    return fields.wrong("response_format", Code::invalid_argument,
                        "expected response_format.json_schema.schema to be a JSON schema");
  if (has_crowded_object(*schema))
    return fields.wrong("response_format", Code::invalid_argument,
                        std::format("expected a schema with at most {} members in one object", schema_properties_max));
  order.constraint = {ConstraintKind::json_schema, dump(*schema)};
}

void read_response_format(JsonFields& fields, GenerationOrder& order) {
  const auto* format = fields.object("response_format");
  if (format == nullptr) return;
  JsonFields inner(*format, "response_format.");
  const auto type = inner.text("type");
  if (!type) return fields.expected("response_format", "an object with a string \"type\"", *format);
  if (*type == "text") return;
  order.constraint_field = "response_format";
  if (*type == "json_schema") return read_schema(fields, *format, order);
  if (*type != "json_object")
    return fields.wrong("response_format", Code::invalid_argument,
                        "expected response_format.type to be text, json_object or json_schema");
  if (inner.find("schema") != nullptr)
    return fields.wrong("response_format", Code::unsupported,
                        "response_format.schema is not read with json_object; expected {\"type\": \"json_schema\", "
                        "\"json_schema\": {\"name\": …, \"schema\": …}}");
  order.constraint = {ConstraintKind::json_object, {}};
}

void read_text(JsonFields& fields, const char* field, ConstraintKind kind, GenerationOrder& order) {
  auto text = fields.text(field);
  if (!text || text->empty()) return;
  if (order.constraint.any())
    return fields.wrong(
        field, Code::invalid_argument,
        std::format("expected {} without {}: an answer can keep to one of them", field, order.constraint_field));
  order.constraint = {kind, *std::move(text)};
  order.constraint_field = field;
}

}  // namespace

void read_constraint(JsonFields& fields, GenerationOrder& order) {
  read_response_format(fields, order);
  read_text(fields, "regex", ConstraintKind::regex, order);
  read_text(fields, "grammar", ConstraintKind::lark, order);
  if (!order.constraint.any()) return;
  if (order.constraint.text.size() > limits::constraint_bytes_max)
    return fields.wrong(order.constraint_field, Code::invalid_argument,
                        std::format("expected {} of at most {} bytes but got {}; simplify it", order.constraint_field,
                                    limits::constraint_bytes_max, order.constraint.text.size()));
  if (order.ignore_eos)
    fields.wrong("ignore_eos", Code::invalid_argument,
                 std::format("expected ignore_eos to be false with {}: the answer ends where that is complete",
                             order.constraint_field));
}

void keep_written_order(std::string_view body, GenerationOrder& order) {
  if (order.constraint.kind != ConstraintKind::json_schema) return;
  const auto keep = [](int depth, Json::parse_event_t event, const Json& parsed) {
    return event != Json::parse_event_t::key || depth != 1 || parsed == "response_format";
  };
  const Json json = Json::parse(body, keep, false);
  const Json::json_pointer place("/response_format/json_schema/schema");
  if (json.contains(place)) order.constraint.text = dump(json[place]);
}

ApiResult<void> check_constraint(const GenerationOrder& order, const Tokenizer& tokenizer) {
  if (!order.constraint.any()) return {};
  auto status = check_constraint(order.constraint, tokenizer);
  if (status) return {};
  auto error = ApiError::from(std::move(status).error());
  error.param = order.constraint_field;
  return std::unexpected(std::move(error));
}

}  // namespace flotilla
