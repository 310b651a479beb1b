// What has been said so far and which tools there are, as chat templates take it: whatever dialect it came in.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace flotilla {

struct ToolCall {
  std::string id, name;
  std::string arguments;  // JSON, an object where it is sound
};

struct ChatMessage {
  std::string role;                  // system, user, assistant, tool
  std::string content;               // text parts joined
  std::string name;                  // empty: none
  std::string reasoning = {};        // an assistant's, before its content; empty: none
  std::vector<ToolCall> calls = {};  // an assistant's
  std::string call_id = {};          // of a tool's answer: the call it answers; empty: not said
};

struct Conversation {
  std::vector<ChatMessage> messages;
  bool add_generation_prompt = true;
  std::string tools = {};           // a JSON array of {"type": "function", "function": {…}}; empty: none
  std::optional<bool> thinks = {};  // whether the model is to think first, where its template asks; none: its habit
};

}  // namespace flotilla
