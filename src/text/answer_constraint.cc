// Each tool's schema is a grammar of its own, so that what it refers to by "#/…" is itself.
#include "text/answer_constraint.h"

#include <format>
#include <nlohmann/json.hpp>
#include <string_view>

#include "text/json_text.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

// As for schemas alone (rust/src/constraint.rs): without a bound a model may write white space for ever.
constexpr std::string_view white_space_option = R"("whitespace_pattern":"\\x20|\\x0A[\\x20\\x09]{0,40}")";

// A text in the grammar's quotes, which are JSON's.
std::string in_quotes(std::string_view text) { return nlohmann::json(valid_utf8(text)).dump(); }

// With options of ours behind the client's own fields: of two with one name the last counts.
std::string schema_term(std::string_view schema, bool lenient, std::string_view more = {}) {
  const JsonText object(schema);
  const auto fields = object.text().substr(0, object.text().size() - 1);
  return std::format(R"(%json {}{}{}"x-guidance":{{{},"lenient":{}}}}})", fields, object.is_empty() ? "" : ",", more,
                     white_space_option, lenient);
}

// A schema without a type would allow arguments that are no object.
std::string arguments_term(const ToolSignature& tool) {
  const JsonText schema(tool.parameters);
  if (tool.parameters.empty() || schema.is_empty())
    return schema_term(R"({"type":"object","properties":{},"additionalProperties":false})", false);
  if (!schema.is_object()) return "%json " + tool.parameters;  // no schema: refused where it is compiled
  return schema_term(schema.text(), !tool.strict, schema.at({"type"}) ? "" : R"("type":"object",)");
}

class Grammar {
 public:
  Grammar(const AnswerRules& rules, const AnswerFormat& format, const Tokenizer& tokenizer)
      : rules_(rules), format_(format), tokenizer_(tokenizer) {}
  std::string text();

 private:
  bool is_control(std::string_view mark) const;
  std::string mark(std::string_view mark) const;
  void add_until(std::string_view rule, std::string_view mark);
  std::string thoughts();
  std::string call(std::size_t tool) const;
  std::string calls();
  std::string text_with_calls();
  std::string repeated(std::string_view what, std::string_view separator) const;
  void add(std::string_view rule, std::string_view body) { text_ += std::format("{}: {}\n", rule, body); }

  const AnswerRules& rules_;
  const AnswerFormat& format_;
  const Tokenizer& tokenizer_;
  std::string text_;
};

// Control tokens are no text: a grammar has them by name, or, where that is not one in its language, by number.
bool Grammar::is_control(std::string_view mark) const {
  const auto token = tokenizer_.find(mark);
  return token >= 0 && tokenizer_.kind(token) == TokenKind::control;
}

std::string Grammar::mark(std::string_view mark) const {
  if (!is_control(mark)) return in_quotes(mark);
  return mark.starts_with('<') ? std::string(mark) : std::format("<[{}]>", tokenizer_.find(mark));
}

// Any text up to the mark's first place, and the mark.
void Grammar::add_until(std::string_view rule, std::string_view mark) {
  add(is_control(mark) ? std::string(rule) : std::format("{}[lazy]", rule), "TEXT " + this->mark(mark));
}

std::string Grammar::thoughts() {
  if (rules_.thoughts == AnswerRules::Thoughts::none) return {};
  add_until("thoughts_end", end_think_mark);
  add("GAP", R"("\n" | "\n\n")");
  if (rules_.thoughts == AnswerRules::Thoughts::begun) return "thoughts_end GAP? ";
  add("thoughts", mark(think_mark) + " thoughts_end GAP?");
  return "thoughts? ";
}

// What stands behind the mark of a call.
std::string Grammar::call(std::size_t tool) const {
  const auto name = in_quotes(rules_.tools[tool].name);
  const auto object = [&](std::string_view open, std::string_view arguments, std::string_view close) {
    const auto head = std::format("{}{{\"name\": {}, \"{}\": ", open, name, arguments);
    return std::format("{} arguments_{} {}", in_quotes(head), tool, in_quotes("}" + std::string(close)));
  };
  switch (format_.calls) {
    case CallFormat::hermes:
      return object("\n", "arguments", "\n") + " " + mark(end_call_mark(format_.calls));
    case CallFormat::llama:
      return object("", "parameters", "");
    case CallFormat::mistral:
      if (!format_.name_before_arguments) return object("", "arguments", "");
      return std::format("{} {} arguments_{}", in_quotes(rules_.tools[tool].name), mark("[ARGS]"), tool);
    case CallFormat::none:
      break;
  }
  return in_quotes("");
}

std::string Grammar::repeated(std::string_view what, std::string_view separator) const {
  if (rules_.calls_max < 2) return std::string(what);
  return std::format("{} ({} {}){{0,{}}}", what, separator, what, rules_.calls_max - 1);
}

// One call, or more where that may be and the template knows how; `call` is one with its mark.
std::string Grammar::calls() {
  std::string any;
  for (std::size_t i = 0; i < rules_.tools.size(); ++i) {
    any += std::format("{}call_{}", i == 0 ? "" : " | ", i);
    add(std::format("call_{}", i), call(i));
    add(std::format("arguments_{}", i), arguments_term(rules_.tools[i]));
  }
  add("any_call", any);
  const bool is_list = format_.calls == CallFormat::mistral && !format_.name_before_arguments;
  if (is_list) add("calls", std::format(R"("[" {} "]")", repeated("any_call", R"(", ")")));
  const std::string_view behind_mark = is_list ? "calls" : "any_call";
  if (rules_.instead == AnswerRules::Instead::text) return std::string(behind_mark);
  if (format_.calls == CallFormat::llama) return "any_call";
  add("call", std::format("{} {}", mark(call_mark(format_.calls)), behind_mark));
  return is_list ? "call" : repeated("call", format_.calls == CallFormat::hermes ? R"("\n")" : "");
}

// Calls may stand anywhere in the text; where they have no mark, the whole answer is one or has none.
std::string Grammar::text_with_calls() {
  const auto behind_mark = calls();
  if (format_.calls == CallFormat::llama) {
    add("TALK", R"(/[ \t\r\n]*[^{ \t\r\n](?s:.*)/)");
    return "any_call | TALK?";
  }
  add_until("talk", call_mark(format_.calls));
  return std::format("(talk {})* TEXT", behind_mark);
}

std::string Grammar::text() {
  const auto before = thoughts();
  std::string answer;
  if (rules_.instead == AnswerRules::Instead::json) {
    add("value", schema_term(rules_.schema, false));
    answer = rules_.tools.empty() ? "value" : calls() + " | value";
  } else {
    answer = rules_.instead == AnswerRules::Instead::text ? text_with_calls() : calls();
  }
  return std::format("start: {}answer\nanswer: {}\nTEXT: /(?s:.*)/\n{}", before, answer, text_);
}

}  // namespace

ConstraintSource answer_constraint(const AnswerRules& rules, const AnswerFormat& format, const Tokenizer& tokenizer) {
  return {ConstraintKind::lark, Grammar(rules, format, tokenizer).text()};
}

}  // namespace flotilla
