#include "text/tool_constraint.h"

#include <cstddef>
#include <format>
#include <nlohmann/json.hpp>

#include "text/utf8.h"

namespace flotilla {
namespace {

// A text in the grammar's quotes, which are JSON's.
std::string in_quotes(std::string_view text) { return nlohmann::json(valid_utf8(text)).dump(); }

std::string no_parameters() { return R"({"type": "object", "properties": {}, "additionalProperties": false})"; }

// A schema without a type would allow arguments that are no object.
std::string arguments_of(const ToolSignature& tool) {
  auto schema = nlohmann::ordered_json::parse(tool.parameters, nullptr, false);
  if (tool.parameters.empty() || (schema.is_object() && schema.empty())) return no_parameters();
  if (!schema.is_object()) return tool.parameters;  // no schema: refused where it is compiled
  if (!schema.contains("type")) schema["type"] = "object";
  return schema.dump();
}

}  // namespace

// Each tool's schema is a grammar of its own, so that what it refers to by "#/…" is itself.
ConstraintSource tool_call_constraint(std::span<const ToolSignature> tools, const ToolCallFormat& format) {
  std::string calls, rules;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const std::string head = std::format("{}{{{}: {}, {}: ", format.begin, in_quotes(format.name_key),
                                         in_quotes(tools[i].name), in_quotes(format.arguments_key));
    calls += std::format("{}call_{}", i == 0 ? "" : " | ", i);
    rules += std::format("call_{}: {} arguments_{} {}\n", i, in_quotes(head), i, in_quotes("}" + format.end));
    rules += std::format("arguments_{}: %json {}\n", i, arguments_of(tools[i]));
  }
  std::string more;
  if (format.calls_max > 1) {
    const std::string separator = format.separator.empty() ? "" : in_quotes(format.separator) + " ";
    more = std::format(" ({}call){{0,{}}}", separator, format.calls_max - 1);
  }
  return {ConstraintKind::lark, std::format("start: call{}\ncall: {}\n{}", more, calls, rules)};
}

}  // namespace flotilla
