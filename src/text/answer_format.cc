#include "text/answer_format.h"

namespace flotilla {

AnswerFormat answer_format_of(std::string_view template_source) {
  const auto has = [&](std::string_view words) { return template_source.contains(words); };
  AnswerFormat format{.calls = CallFormat::none, .thinks = has(think_mark) || has(end_think_mark)};
  if (has("[TOOL_CALLS]")) {
    format.calls = CallFormat::mistral;
    format.name_before_arguments = has("[ARGS]");
  } else if (has("<tool_call>") && !has("<function=")) {  // with it, calls are written as XML: Qwen3-Coder
    format.calls = CallFormat::hermes;
  } else if (has("<|python_tag|>") || has("dictionary of argument name and its value")) {
    format.calls = CallFormat::llama;
  }
  return format;
}

std::string_view call_mark(CallFormat format) {
  switch (format) {
    case CallFormat::none:
      return {};
    case CallFormat::hermes:
      return "<tool_call>";
    case CallFormat::llama:
      return "<|python_tag|>";
    case CallFormat::mistral:
      return "[TOOL_CALLS]";
  }
  return {};
}

std::string_view end_call_mark(CallFormat format) {
  return format == CallFormat::hermes ? std::string_view("</tool_call>") : std::string_view();
}

std::vector<std::string> marks_of(const AnswerFormat& format) {
  std::vector<std::string> marks;
  if (format.thinks) marks.insert(marks.end(), {std::string(think_mark), std::string(end_think_mark)});
  for (const auto mark : {call_mark(format.calls), end_call_mark(format.calls)})
    if (!mark.empty()) marks.emplace_back(mark);
  if (format.calls == CallFormat::mistral) marks.insert(marks.end(), {"[CALL_ID]", "[ARGS]"});
  return marks;
}

}  // namespace flotilla
