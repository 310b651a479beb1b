#include "server/response_format.h"

#include <algorithm>
#include <format>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "server/chat_request.h"
#include "text/answer_constraint.h"
#include "text/constraint.h"

namespace flotilla {
namespace {

constexpr std::size_t schema_properties_max = 4096;  // of one object

bool has_crowded_object(const nlohmann::json& value) {
  if (!value.is_structured()) return false;
  if (value.is_object() && value.size() > schema_properties_max) return true;
  return std::ranges::any_of(value, has_crowded_object);
}

void read_named_schema(JsonFields& fields, const nlohmann::json& format, GenerationOrder& order) {
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
  read_schema(fields, "response_format", *schema, order);
}

void read_response_format(JsonFields& fields, GenerationOrder& order) {
  const auto* format = fields.object("response_format");
  if (format == nullptr) return;
  if (JsonFields(*format).text("type") == "json_schema") return read_named_schema(fields, *format, order);
  if (format->value("type", nlohmann::json()) == "json_object" && format->contains("schema"))
    return fields.wrong("response_format", Code::unsupported,
                        "response_format.schema is not read with json_object; expected {\"type\": \"json_schema\", "
                        "\"json_schema\": {\"name\": …, \"schema\": …}}");
  read_format(fields, "response_format", *format, order);
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

void check_form(JsonFields& fields, const std::string& field, const GenerationOrder& order) {
  if (!order.constraint.any()) return;
  if (order.constraint.text.size() > limits::constraint_bytes_max)
    return fields.wrong(field, Code::invalid_argument,
                        std::format("expected {} of at most {} bytes but got {}; simplify it", field,
                                    limits::constraint_bytes_max, order.constraint.text.size()));
  if (order.ignore_eos)
    fields.wrong("ignore_eos", Code::invalid_argument,
                 std::format("expected ignore_eos to be false with {}: the answer ends where that is complete",
                             order.constraint_field));
}

}  // namespace

void read_schema(JsonFields& fields, const std::string& field, const nlohmann::json& schema, GenerationOrder& order) {
  if (has_crowded_object(schema))
    return fields.wrong(field, Code::invalid_argument,
                        std::format("expected a schema with at most {} members in one object", schema_properties_max));
  order.constraint_field = fields.name_of(field);
  order.constraint = {ConstraintKind::json_schema, dump(schema)};
  check_form(fields, field, order);
}

void read_format(JsonFields& fields, const std::string& field, const nlohmann::json& format, GenerationOrder& order) {
  JsonFields inner(format, fields.name_of(field + "."));
  const auto type = inner.text("type");
  if (!type) return fields.expected(field, "an object with a string \"type\"", format);
  if (*type == "text") return;
  if (*type == "json_object") {
    order.constraint_field = fields.name_of(field);
    order.constraint = {ConstraintKind::json_object, {}};
    return;
  }
  const auto* schema = inner.object("schema");
  if (inner.fault()) return fields.adopt(*inner.fault());
  if (*type != "json_schema")
    return fields.wrong(field, Code::invalid_argument,
                        std::format("expected {}.type to be text, json_object or json_schema", field));
  if (schema == nullptr)
    return fields.wrong(field, Code::invalid_argument, std::format("expected {}.schema to be a JSON schema", field));
  read_schema(fields, field, *schema, order);
}

void read_constraint(JsonFields& fields, GenerationOrder& order) {
  read_response_format(fields, order);
  read_text(fields, "regex", ConstraintKind::regex, order);
  read_text(fields, "grammar", ConstraintKind::lark, order);
  check_form(fields, order.constraint_field, order);
}

void keep_schema_order(const std::optional<JsonText>& written, GenerationOrder& order) {
  if (order.constraint.kind != ConstraintKind::json_schema || !written) return;
  order.constraint.text = in_written_order(*written, std::move(order.constraint.text));
}

// --- Once the model is known -----------------------------------------------------------------------------------------

namespace {

ApiResult<void> check(const ConstraintSource& constraint, const std::string& field, const Tokenizer& tokenizer) {
  if (!constraint.any()) return {};
  auto status = check_constraint(constraint, tokenizer);
  if (status) return {};
  auto error = ApiError::from(std::move(status).error());
  error.param = field;
  return std::unexpected(std::move(error));
}

// A pattern or grammar is the whole answer's: nothing in it is a thought or a call.
ApiResult<void> take_whole(const GenerationOrder& order, Prompt& prompt) {
  if (prompt.rules->instead == AnswerRules::Instead::nothing)
    return api_fail(Code::invalid_argument, "tool_choice",
                    "[server] expected no tool that must be called with {}, which the whole answer keeps to",
                    order.constraint_field);
  prompt.reading = {};
  return {};
}

ApiResult<void> shape(const GenerationOrder& order, const OpenModel& model, Prompt& prompt) {
  using Instead = AnswerRules::Instead;
  auto& rules = *prompt.rules;
  const auto& form = order.constraint;
  if (form.kind == ConstraintKind::regex || form.kind == ConstraintKind::lark) return take_whole(order, prompt);
  const bool must_call = rules.instead == Instead::nothing;
  const bool is_strict = std::ranges::any_of(rules.tools, &ToolSignature::strict);
  const bool has_more = !rules.tools.empty() || rules.thoughts != AnswerRules::Thoughts::none;
  if (form.any() ? !has_more : !must_call && !is_strict) return {};
  if (order.ignore_eos)
    return api_fail(Code::invalid_argument, "ignore_eos",
                    "[server] expected ignore_eos to be false where tools must be called, or as their schemas say: the "
                    "answer ends where it is complete");
  if (!order.parallel_calls) rules.calls_max = 1;
  if (form.any() && !must_call) {
    rules.instead = Instead::json;
    rules.schema = form.kind == ConstraintKind::json_object ? R"({"type":"object"})" : form.text;
  }
  prompt.constraint = answer_constraint(rules, model.chat_template->answer_format(), *model.tokenizer);
  if (rules.tools.empty()) return check(prompt.constraint, order.constraint_field, *model.tokenizer);
  auto kept = check(prompt.constraint, "tools", *model.tokenizer);
  if (!kept)
    kept.error().error.message = "[server] expected tools whose schemas can be kept to; " + kept.error().error.message;
  return kept;
}

}  // namespace

ApiResult<void> constrain(const GenerationOrder& order, const OpenModel& model, std::span<Prompt> prompts) {
  if (auto kept = check(order.constraint, order.constraint_field, *model.tokenizer); !kept) return kept;
  for (auto& prompt : prompts) {
    prompt.constraint = order.constraint;
    if (!prompt.rules) continue;
    if (auto kept = shape(order, model, prompt); !kept) return kept;
  }
  return {};
}

}  // namespace flotilla
