// Messages and tools as OpenAI's chat dialect writes them, and those that follow it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/chat_request.h"
#include "server/json_body.h"

namespace flotilla {

// Faults stay in `fields`. Roles: developer is system, function is tool; parts are joined; an assistant's calls may
// have their arguments as text or as an object; thoughts come back as reasoning_content, reasoning or thinking.
std::vector<ChatMessage> read_messages(JsonFields& fields);

// "tools" and "tool_choice".
void read_tools(JsonFields& fields, ChatRequest& chat);

// "tool_choice" as chats and responses have it: a word, one tool, or those that are allowed of all.
ToolChoice read_tool_choice(JsonFields& fields);

// Calls of one assistant's message, in "tool_calls".
std::vector<ToolCall> read_calls(JsonFields& message);

// A template's own switches: only whether to think.
std::optional<bool> read_thinks(JsonFields& fields);

}  // namespace flotilla
