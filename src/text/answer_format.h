// How a model marks, inside what it writes, what it thinks and which tools it calls. Told from the chat template's own
// text, because a model's name promises nothing. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flotilla {

enum class CallFormat : std::uint8_t {
  none,     // the template knows no tools, or writes calls in a way that is not read here
  hermes,   // <tool_call>{"name": …, "arguments": {…}}</tool_call>: Hermes, Qwen 2.5 and 3
  llama,    // {"name": …, "parameters": {…}} as the whole answer, perhaps after <|python_tag|>: Llama 3.1 and later
  mistral,  // [TOOL_CALLS][{"name": …, "arguments": {…}}], or [TOOL_CALLS]name[ARGS]{…}
};

struct AnswerFormat {
  CallFormat calls = CallFormat::none;
  bool thinks = false;                 // <think>…</think>
  bool name_before_arguments = false;  // of mistral: [TOOL_CALLS]name[ARGS]{…}
  bool operator==(const AnswerFormat&) const = default;
};

inline constexpr std::string_view think_mark = "<think>", end_think_mark = "</think>";

AnswerFormat answer_format_of(std::string_view template_source);

// What a call begins and, where anything does, ends with.
std::string_view call_mark(CallFormat format);
std::string_view end_call_mark(CallFormat format);
// Everything that must be seen in an answer to read it, also where the vocabulary has it as control tokens.
std::vector<std::string> marks_of(const AnswerFormat& format);

}  // namespace flotilla
