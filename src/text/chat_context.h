// The variables under which chat templates find a conversation. Every text in it goes through `safe`, which keeps it
// from spelling control tokens (chat_template.cc says how).
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "text/answer_format.h"
#include "text/conversation.h"

namespace flotilla {

using SafeText = std::function<std::string(const std::string&)>;

// How a template wants the arguments of calls: most write them themselves, some paste them.
enum class ArgumentForm { object, text };

// "messages", "tools", "add_generation_prompt", and what says whether to think. Calls become text where the template
// knows none, so that answers of tools after them make sense.
nlohmann::ordered_json chat_context(const Conversation& conversation, const AnswerFormat& format, ArgumentForm form,
                                    const SafeText& safe);

// Visits every text that a client wrote.
void for_each_text(const Conversation& conversation, const std::function<void(const std::string&)>& visit);

// invalid_argument for a role that is none, context_length for more bytes than a template may see.
Status check_conversation(const Conversation& conversation);

}  // namespace flotilla
