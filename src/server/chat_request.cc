#include "server/chat_request.h"

#include <algorithm>
#include <format>
#include <span>
#include <utility>

#include "base/limits.h"

namespace flotilla {
namespace {

constexpr std::size_t prompt_end_tokens = 16;  // more than <think> and white space behind it take
constexpr std::uint32_t calls_max = 16;        // of one answer that must call

// The template's side reads them again, field by field: what takes too long there is refused here.
constexpr std::size_t fields_max = 256;  // of one object: each is compared with those before it

bool has_too_many_fields(const nlohmann::json& value) {
  if (value.is_object() && value.size() > fields_max) return true;
  return value.is_structured() && std::ranges::any_of(value, has_too_many_fields);
}

bool begins_thinking(const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
  const auto last = tokens.subspan(tokens.size() - std::min(tokens.size(), prompt_end_tokens));
  std::string end;
  for (const auto token : last) end += tokenizer.piece(token, true);
  while (!end.empty() && std::string_view(" \t\r\n").contains(end.back())) end.pop_back();
  return end.ends_with(think_mark);
}

}  // namespace

void ToolList::add(const std::string& field, OfferedTool tool, const nlohmann::json* parameters) {
  if (tool.name.empty() || tool.name.size() > tool_name_bytes_max) {
    return fields_.wrong(field, Code::invalid_argument,
                         std::format("expected a tool's name of 1 to {} bytes in {} but got {}", tool_name_bytes_max,
                                     field, tool.name.size()));
  }
  if (parameters != nullptr && has_too_many_fields(*parameters)) {
    return fields_.wrong(field, Code::invalid_argument,
                         std::format("expected at most {} fields in each object of a tool's parameters", fields_max));
  }
  // Templates look into it without asking whether it is there.
  tool.takes_none = parameters == nullptr;
  tool.parameters = tool.takes_none ? R"({"type":"object","properties":{}})" : dump(*parameters);
  bytes_ += tool.name.size() + tool.description.size() + tool.parameters.size();
  if (bytes_ > limits::template_output_bytes_max) {
    return fields_.wrong("tools", Code::context_length,
                         std::format("expected at most {} bytes of tools but got {} or more; shorten them",
                                     limits::template_output_bytes_max, bytes_));
  }
  tools_.push_back(std::move(tool));
}

void ToolList::give_to(ChatRequest& chat, ToolChoice choice) {
  if (choice.kind == ToolChoice::Kind::none) return;
  for (const auto& name : choice.only) {
    if (!std::ranges::contains(tools_, name, &OfferedTool::name))
      fields_.wrong("tool_choice", Code::invalid_argument,
                    std::format("expected tool_choice to name tools on offer but got \"{}\"",
                                name.substr(0, tool_name_bytes_max)));
  }
  const bool must_call = choice.kind == ToolChoice::Kind::must_call;
  if (must_call && tools_.empty())
    fields_.wrong("tool_choice", Code::invalid_argument, "expected tools on offer where one must be called");
  if (!must_call && !choice.only.empty())
    std::erase_if(tools_, [&](const auto& tool) { return !std::ranges::contains(choice.only, tool.name); });
  chat.tools = std::move(tools_);
  chat.choice = std::move(choice);
}

std::string in_written_order(const JsonText& written, std::string parsed) {
  const bool same = written.is_object() && written.commas() == JsonText(parsed).commas();
  return same ? written.without_space() : parsed;
}

void keep_tool_order(const std::optional<JsonText>& tools, std::initializer_list<std::string_view> path,
                     ChatRequest& chat) {
  if (!tools || chat.tools.empty()) return;
  const auto items = tools->items();
  for (auto& tool : chat.tools) {
    const auto written = tool.place < items.size() ? items[tool.place].at(path) : std::nullopt;
    if (written) tool.parameters = in_written_order(*written, std::move(tool.parameters));
  }
}

namespace {

// As OpenAI writes them, whose form templates expect.
std::string tools_text(const std::vector<OfferedTool>& tools) {
  std::string text;
  for (const auto& tool : tools) {
    Json function{{"name", tool.name}};
    if (!tool.description.empty()) function["description"] = tool.description;
    auto head = dump(function);
    head.pop_back();
    text += std::format(R"({}{{"type":"function","function":{},"parameters":{}}}}})", text.empty() ? "[" : ",", head,
                        tool.parameters);
  }
  return text.empty() ? text : text + "]";
}

AnswerRules rules_of(const ChatRequest& chat, const AnswerReading& reading) {
  using Thoughts = AnswerRules::Thoughts;
  AnswerRules rules;
  const auto& only = chat.choice.only;
  for (const auto& tool : chat.tools) {
    if (only.empty() || std::ranges::contains(only, tool.name))
      rules.tools.push_back(
          {.name = tool.name, .parameters = tool.takes_none ? "" : tool.parameters, .strict = tool.strict});
  }
  // Llama's models call one at a time; a tool that is named is meant once.
  const bool is_one = reading.calls == CallFormat::llama || only.size() == 1;
  rules.calls_max = is_one ? 1 : calls_max;
  const bool must_call = chat.choice.kind == ToolChoice::Kind::must_call;
  rules.instead = must_call ? AnswerRules::Instead::nothing : AnswerRules::Instead::text;
  const bool may_think = reading.thinks && chat.conversation.thinks.value_or(true);
  rules.thoughts = reading.begun_thinking ? Thoughts::begun : may_think ? Thoughts::may_come : Thoughts::none;
  return rules;
}

}  // namespace

ApiResult<std::vector<Prompt>> chat_prompts(ChatRequest& chat, const OpenModel& model, const char* field) {
  const auto& format = model.chat_template->answer_format();
  const bool offers_tools = !chat.tools.empty();
  if (offers_tools && format.calls == CallFormat::none) {
    return api_fail(
        Code::unsupported, "tools",
        "[server] expected a model that knows tools but {}'s chat template has none, or writes calls in a way "
        "that is not supported by this version; leave tools out, or take another model",
        model.name);
  }
  chat.conversation.tools = tools_text(chat.tools);
  auto tokens = model.chat_template->render(chat.conversation);
  if (!tokens) {
    auto error = ApiError::from(std::move(tokens).error());
    error.param = field;
    return std::unexpected(std::move(error));
  }
  AnswerReading reading{.calls = offers_tools ? format.calls : CallFormat::none,
                        .thinks = format.thinks,
                        .begun_thinking = format.thinks && begins_thinking(*model.tokenizer, *tokens)};
  for (const auto& tool : chat.tools) reading.tools.push_back(tool.name);
  auto rules = rules_of(chat, reading);
  std::vector<Prompt> prompts;
  prompts.push_back(
      {.text = {}, .tokens = std::move(*tokens), .reading = std::move(reading), .rules = std::move(rules)});
  return prompts;
}

}  // namespace flotilla
