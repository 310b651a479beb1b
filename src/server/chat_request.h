// A chat, whichever dialect it came in, on its way to prompts: messages, the tools on offer, and how answers are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/backend.h"
#include "server/choice.h"
#include "server/json_body.h"
#include "text/conversation.h"
#include "text/json_text.h"

namespace flotilla {

inline constexpr std::size_t tools_max = 256, tool_name_bytes_max = 256;  // tools: also calls of one message

struct OfferedTool {
  std::string name, description;
  std::string parameters;   // a JSON schema of an object
  bool strict = false;      // calls keep to it, or the request is refused
  bool takes_none = false;  // no parameters came with it
  std::size_t place = 0;    // in the client's list
};

struct ToolChoice {
  enum class Kind : std::uint8_t { may_call, must_call, none } kind = Kind::may_call;
  std::vector<std::string> only = {};  // names of those that may be called; empty: all
};

struct ChatRequest {
  Conversation conversation;  // its tools are written when it becomes a prompt
  std::vector<OfferedTool> tools;
  ToolChoice choice;
};

// Tools as they come one by one; their text is bounded, as is their number. Faults stay in `fields`.
class ToolList {
 public:
  explicit ToolList(JsonFields& fields) : fields_(fields) {}
  // One that a client calls `field`; `parameters`: a JSON schema, or null.
  void add(const std::string& field, OfferedTool tool, const nlohmann::json* parameters);
  // Those that the choice leaves; names in it that are no tool's are faults.
  void give_to(ChatRequest& chat, ToolChoice choice);

 private:
  JsonFields& fields_;
  std::vector<OfferedTool> tools_;
  std::size_t bytes_ = 0;
};

// Of the client's list of tools as it was written, each schema, which stands at `path` in its tool: models write
// arguments in its order, and read descriptions in theirs.
void keep_tool_order(const std::optional<JsonText>& tools, std::initializer_list<std::string_view> path,
                     ChatRequest& chat);
// What was written, unless a name comes twice in one object: readers may take as long as the square of how many come.
std::string in_written_order(const JsonText& written, std::string parsed);

// One prompt. unsupported where tools are on offer and the model's template knows none; `field` is blamed where its
// template refuses.
ApiResult<std::vector<Prompt>> chat_prompts(ChatRequest& chat, const OpenModel& model, const char* field);

}  // namespace flotilla
