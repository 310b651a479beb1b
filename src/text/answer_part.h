// A stretch of an answer of one kind: what a model says, what it thinks, or a tool that it calls.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace flotilla {

struct AnswerPart {
  enum class Kind : std::uint8_t { content, reasoning, call };
  Kind kind = Kind::content;
  std::string text = {};  // of a call: its arguments, a JSON object
  std::string name = {};  // of a call: the tool's
  std::string id = {};    // of a call, given by who passes it on
  bool operator==(const AnswerPart&) const = default;
};

using AnswerParts = std::vector<AnswerPart>;

// Joined to the last part where both are text of one kind.
inline void append(AnswerParts& parts, AnswerPart part) {
  const bool joins = !parts.empty() && part.kind != AnswerPart::Kind::call && parts.back().kind == part.kind;
  if (joins) {
    parts.back().text += part.text;
  } else {
    parts.push_back(std::move(part));
  }
}

// All text of one kind.
inline std::string text_of(const AnswerParts& parts, AnswerPart::Kind kind) {
  std::string text;
  for (const auto& part : parts) {
    if (part.kind == kind) text += part.text;
  }
  return text;
}

}  // namespace flotilla
