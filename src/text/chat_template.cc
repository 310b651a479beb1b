// The prompt is rendered as one text and tokenized as one text, so that words and spaces merge as the model learned
// them. What keeps users' text from becoming control tokens is a guard: a character that no message holds is put inside
// each place of a message that spells a control token (or could complete one at a seam) before the template sees it.
// Afterwards the text is cut at the guards, and special tokens never span a cut. Text that spells no control token is
// not touched at all, so templates may trim, split and compare it as they like.
//
// A template may also take parts out of a message and so make a control token of what is left: of "<|im_/thinkend|>",
// where it deletes "/think". Where a message holds a character that control tokens begin with, the prompt is therefore rendered a second
// time with a guard after each of those. Guards everywhere hinder templates that look for "</think>", so this second
// prompt is taken only where its control tokens are not those of the first.
//
// The road not taken: marking where each message begins and ends. Templates trim and cut messages, and lose such marks.
#include "text/chat_template.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "text/guard.h"
#include "text/rust_answer.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

constexpr std::size_t source_bytes_max = 256u << 10;  // the longest published template has about 30 KiB

constexpr std::array<std::string_view, 5> known_roles = {"system", "developer", "user", "assistant", "tool"};

struct TemplateFree {
  void operator()(FlotillaTemplate* chat_template) const { flotilla_template_free(chat_template); }
};
using TemplatePointer = std::unique_ptr<FlotillaTemplate, TemplateFree>;

// A noncharacter that appears nowhere; should someone use up all of them, one of the private ones of plane 16.
Result<std::string> unused_character(const std::vector<const std::string*>& texts) {
  const auto is_free = [&](const std::string& character) {
    return std::ranges::none_of(texts, [&](const std::string* text) { return text->contains(character); });
  };
  for (char32_t code = 0xFDD0; code <= 0xFDEF; ++code) {
    if (std::string character = utf8_of(code); is_free(character)) return character;
  }
  for (char32_t code = 0x100000; code < 0x100100; ++code) {
    if (std::string character = utf8_of(code); is_free(character)) return character;
  }
  return fail(Code::invalid_argument, "[text] expected messages of ordinary text but they use every noncharacter");
}

std::int64_t local_seconds_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return static_cast<std::int64_t>(now) + local.tm_gmtoff;
}

class JinjaTemplate final : public ChatTemplate {
 public:
  JinjaTemplate(TemplatePointer compiled, std::string source, std::shared_ptr<const Tokenizer> tokenizer)
      : compiled_(std::move(compiled)),
        source_(std::move(source)),
        tokenizer_(std::move(tokenizer)),
        guard_(tokenizer_->reserved_texts()) {}

  Result<std::vector<TokenId>> render(const std::vector<ChatMessage>& messages,
                                      bool add_generation_prompt) const override;
  Result<std::string> render_text(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const override;

 private:
  struct Prompt {
    std::vector<TextPiece> pieces;
    std::vector<TokenId> tokens;
  };
  enum class Protection { where_spelled, throughout };
  Result<Prompt> render_prompt(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;
  Result<Prompt> render_once(const std::vector<ChatMessage>& messages, bool add_generation_prompt,
                             Protection protection) const;
  std::vector<TokenId> control_tokens(const Prompt& prompt) const;
  Result<std::string> run(const nlohmann::ordered_json& context) const;

  TemplatePointer compiled_;
  std::string source_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  Guard guard_;
};

Status check_messages(const std::vector<ChatMessage>& messages) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    // A role is part of the template's markup (some write "<|" ~ role ~ "|>"), so it is not free text.
    if (std::ranges::find(known_roles, messages[i].role) == known_roles.end()) {
      return fail(Code::invalid_argument,
                  "[text] expected a role of system, developer, user, assistant or tool but message {} has \"{}\"", i,
                  messages[i].role);
    }
    bytes += messages[i].content.size() + messages[i].name.size();
  }
  if (bytes > limits::template_output_bytes_max) {
    return fail(Code::too_large, "[text] expected at most {} bytes of messages but got {}; shorten them",
                limits::template_output_bytes_max, bytes);
  }
  return {};
}

std::vector<TokenId> JinjaTemplate::control_tokens(const Prompt& prompt) const {
  std::vector<TokenId> tokens;
  std::ranges::copy_if(prompt.tokens, std::back_inserter(tokens),
                       [&](TokenId token) { return tokenizer_->kind(token) == TokenKind::control; });
  return tokens;
}

Result<JinjaTemplate::Prompt> JinjaTemplate::render_prompt(const std::vector<ChatMessage>& messages,
                                                           bool add_generation_prompt) const {
  FLOTILLA_TRY_STATUS(check_messages(messages));
  FLOTILLA_TRY(Prompt prompt, render_once(messages, add_generation_prompt, Protection::where_spelled));
  const bool harmless = std::ranges::none_of(messages, [&](const ChatMessage& message) {
    return guard_.could_begin_one(message.content) || guard_.could_begin_one(message.name);
  });
  if (harmless) return prompt;
  FLOTILLA_TRY(Prompt guarded, render_once(messages, add_generation_prompt, Protection::throughout));
  return control_tokens(prompt) == control_tokens(guarded) ? std::move(prompt) : std::move(guarded);
}

Result<JinjaTemplate::Prompt> JinjaTemplate::render_once(const std::vector<ChatMessage>& messages,
                                                         bool add_generation_prompt, Protection protection) const {
  std::vector<const std::string*> texts = {&source_};
  for (const ChatMessage& message : messages) texts.insert(texts.end(), {&message.content, &message.name});
  FLOTILLA_TRY(const std::string character, unused_character(texts));
  const auto safe = [&](const std::string& text) {
    return protection == Protection::throughout ? guard_.protect_throughout(valid_utf8(text), character)
                                                : guard_.protect(valid_utf8(text), character);
  };

  nlohmann::ordered_json context;
  auto& list = context["messages"] = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    nlohmann::ordered_json entry = {{"role", message.role}, {"content", safe(message.content)}};
    if (!message.name.empty()) entry["name"] = safe(message.name);
    list.push_back(std::move(entry));
  }
  context["add_generation_prompt"] = add_generation_prompt;
  context["tools"] = nullptr;
  context["documents"] = nullptr;
  if (tokenizer_->bos() >= 0) context["bos_token"] = valid_utf8(tokenizer_->piece(tokenizer_->bos(), true));
  if (tokenizer_->eos() >= 0) context["eos_token"] = valid_utf8(tokenizer_->piece(tokenizer_->eos(), true));
  FLOTILLA_TRY(const std::string text, run(context));
  Prompt prompt{.pieces = Guard::cut(text, character), .tokens = {}};
  prompt.tokens = tokenizer_->encode(prompt.pieces, false);
  return prompt;
}

Result<std::string> JinjaTemplate::run(const nlohmann::ordered_json& context) const {
  const std::string json = context.dump();
  const RustAnswer answer(flotilla_template_render(compiled_.get(), json.data(), json.size(), local_seconds_now()));
  switch (answer.raw.outcome) {
    case FLOTILLA_OK:
      return std::string(answer.text());
    case FLOTILLA_REFUSED:
      return fail(Code::invalid_argument, "[text] the model's chat template refuses these messages: {}", answer.text());
    case FLOTILLA_TOO_LARGE:
      return fail(
          Code::too_large,
          "[text] expected the chat template to end within {} steps and {} bytes but it did not ({}); shorten the "
          "messages or use /v1/completions",
          limits::template_steps_max, limits::template_output_bytes_max, answer.text());
    case FLOTILLA_SYNTAX:
    case FLOTILLA_FAILED:
      return fail(Code::unsupported, "[text] expected the chat template to render but got: {}; use /v1/completions",
                  answer.text());
    case FLOTILLA_INTERNAL:
      break;
  }
  return fail(Code::internal, "[text] the template interpreter failed: {}", answer.text());
}

Result<std::vector<TokenId>> JinjaTemplate::render(const std::vector<ChatMessage>& messages,
                                                   bool add_generation_prompt) const {
  FLOTILLA_TRY(auto prompt, render_prompt(messages, add_generation_prompt));
  std::vector<TokenId> tokens = std::move(prompt.tokens);
  const TokenId bos = tokenizer_->bos();
  if (bos < 0) return tokens;
  // Some templates write BOS and some files ask for it; some do both.
  const auto first_other = std::ranges::find_if(tokens, [&](TokenId token) { return token != bos; });
  const bool wanted = tokenizer_->adds_bos() || first_other != tokens.begin();
  tokens.erase(tokens.begin(), first_other);
  if (wanted) tokens.insert(tokens.begin(), bos);
  return tokens;
}

Result<std::string> JinjaTemplate::render_text(const std::vector<ChatMessage>& messages,
                                               bool add_generation_prompt) const {
  FLOTILLA_TRY(const auto prompt, render_prompt(messages, add_generation_prompt));
  std::string text;
  for (const TextPiece& piece : prompt.pieces) text += piece.text;
  return text;
}

// A base model: no dialogue was taught to it.
class NoTemplate final : public ChatTemplate {
 public:
  Result<std::vector<TokenId>> render(const std::vector<ChatMessage>&, bool) const override { return refuse(); }
  Result<std::string> render_text(const std::vector<ChatMessage>&, bool) const override { return refuse(); }

 private:
  static std::unexpected<Error> refuse() {
    return fail(
        Code::unsupported,
        "[text] expected a model with a chat template but this file has none; send plain text to /v1/completions");
  }
};

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::create(std::string source,
                                                                 std::shared_ptr<const Tokenizer> tokenizer) {
  if (source.empty()) return std::make_shared<NoTemplate>();
  if (source.size() > source_bytes_max) {
    return fail(Code::unsupported, "[text] expected a chat template of at most {} bytes but got {}", source_bytes_max,
                source.size());
  }
  RustAnswer answer;
  const FlotillaRenderLimits bounds{limits::template_steps_max, limits::template_output_bytes_max};
  TemplatePointer compiled(flotilla_template_create(source.data(), source.size(), bounds, &answer.raw));
  if (compiled == nullptr) {
    return fail(Code::unsupported, "[text] expected a chat template that parses but got: {}; use /v1/completions",
                answer.text());
  }
  return std::make_shared<JinjaTemplate>(std::move(compiled), std::move(source), std::move(tokenizer));
}

}  // namespace flotilla
