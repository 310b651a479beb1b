// A chat, whichever dialect it came in, on its way to prompts: messages, the tools on offer, and how answers are read.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/backend.h"
#include "server/choice.h"
#include "server/json_body.h"
#include "text/conversation.h"

namespace flotilla {

inline constexpr std::size_t tools_max = 256, tool_name_bytes_max = 256;  // tools: also calls of one message

struct ChatRequest {
  Conversation conversation;
  std::vector<std::string> tool_names;
};

// Tools as they come one by one; their text is bounded, as is their number. Faults stay in `fields`.
class ToolList {
 public:
  explicit ToolList(JsonFields& fields) : fields_(fields) {}
  // One that a client calls `field`; `parameters`: a JSON schema, or null.
  void add(const std::string& field, const std::string& name, const std::string& description,
           const nlohmann::json* parameters);
  void give_to(ChatRequest& chat) const;

 private:
  JsonFields& fields_;
  Json tools_ = Json::array();
  std::vector<std::string> names_;
};

// One prompt. unsupported where tools are on offer and the model's template knows none; `field` is blamed where its
// template refuses.
ApiResult<std::vector<Prompt>> chat_prompts(const ChatRequest& chat, const OpenModel& model, const char* field);

}  // namespace flotilla
