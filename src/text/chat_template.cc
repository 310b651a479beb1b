// The prompt is rendered as one text and tokenized as one text, so that words and spaces merge as the model learned
// them. What keeps users' text, and what clients say of tools, from becoming control tokens is a guard: a character
// that no message holds is put inside each place of a message that spells a control token (or could complete one at a
// seam) before the template sees it. Afterwards the text is cut at the guards, and special tokens never span a cut.
// Text that spells no control token is not touched at all, so templates may trim, split and compare it as they like.
//
// A template may also take parts out of a message and so make a control token of what is left: of "<|im_/thinkend|>",
// where it deletes "/think". Where a message holds a character that control tokens begin with, the prompt is therefore
// rendered a second time with a guard after each of those. Guards everywhere hinder templates that look for "</think>",
// so this second prompt is taken only where its control tokens are not those of the first.
//
// The road not taken: marking where each message begins and ends. Templates trim and cut messages, and lose such marks.
#include "text/chat_template.h"

#include <algorithm>
#include <ctime>
#include <format>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "text/chat_context.h"
#include "text/guard.h"
#include "text/rust_answer.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

constexpr std::size_t source_bytes_max = 256u << 10;  // the longest published template has about 30 KiB

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
        guard_(tokenizer_->reserved_texts()),
        format_(answer_format_of(source_)) {}

  Result<std::vector<TokenId>> render(const Conversation& conversation) const override;
  Result<std::string> render_text(const Conversation& conversation) const override;
  const AnswerFormat& answer_format() const override { return format_; }

 private:
  struct Prompt {
    std::vector<TextPiece> pieces;
    std::vector<TokenId> tokens;
  };
  enum class Protection { where_spelled, throughout };
  Result<Prompt> render_prompt(const Conversation& conversation) const;
  Result<Prompt> render_once(const Conversation& conversation, Protection protection) const;
  Result<std::string> run(const Conversation& conversation, const SafeText& safe) const;
  std::vector<TokenId> control_tokens(const Prompt& prompt) const;
  Result<std::string> run(const nlohmann::ordered_json& context) const;

  TemplatePointer compiled_;
  std::string source_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  Guard guard_;
  AnswerFormat format_;
};

std::vector<TokenId> JinjaTemplate::control_tokens(const Prompt& prompt) const {
  std::vector<TokenId> tokens;
  std::ranges::copy_if(prompt.tokens, std::back_inserter(tokens),
                       [&](TokenId token) { return tokenizer_->kind(token) == TokenKind::control; });
  return tokens;
}

Result<JinjaTemplate::Prompt> JinjaTemplate::render_prompt(const Conversation& conversation) const {
  FLOTILLA_TRY_STATUS(check_conversation(conversation));
  FLOTILLA_TRY(Prompt prompt, render_once(conversation, Protection::where_spelled));
  bool harmless = true;
  for_each_text(conversation, [&](const std::string& text) { harmless = harmless && !guard_.could_begin_one(text); });
  if (harmless) return prompt;
  FLOTILLA_TRY(Prompt guarded, render_once(conversation, Protection::throughout));
  return control_tokens(prompt) == control_tokens(guarded) ? std::move(prompt) : std::move(guarded);
}

Result<JinjaTemplate::Prompt> JinjaTemplate::render_once(const Conversation& conversation,
                                                         Protection protection) const {
  std::vector<const std::string*> texts = {&source_};
  for_each_text(conversation, [&](const std::string& text) { texts.push_back(&text); });
  FLOTILLA_TRY(const std::string character, unused_character(texts));
  const auto safe = [&](const std::string& text) {
    return protection == Protection::throughout ? guard_.protect_throughout(valid_utf8(text), character)
                                                : guard_.protect(valid_utf8(text), character);
  };
  FLOTILLA_TRY(const std::string text, run(conversation, safe));
  Prompt prompt{.pieces = Guard::cut(text, character), .tokens = {}};
  prompt.tokens = tokenizer_->encode(prompt.pieces, false);
  return prompt;
}

// Most templates write arguments of calls as JSON themselves; those that put text before and behind them fail at an
// object, and get the text.
Result<std::string> JinjaTemplate::run(const Conversation& conversation, const SafeText& safe) const {
  const auto run_with = [&](ArgumentForm form) {
    auto context = chat_context(conversation, format_, form, safe);
    if (tokenizer_->bos() >= 0) context["bos_token"] = valid_utf8(tokenizer_->piece(tokenizer_->bos(), true));
    if (tokenizer_->eos() >= 0) context["eos_token"] = valid_utf8(tokenizer_->piece(tokenizer_->eos(), true));
    return run(context);
  };
  auto text = run_with(ArgumentForm::object);
  const bool has_calls =
      std::ranges::any_of(conversation.messages, [](const auto& each) { return !each.calls.empty(); });
  if (text || text.error().code != Code::unsupported || !has_calls) return text;
  auto again = run_with(ArgumentForm::text);
  return again ? again : text;
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

Result<std::vector<TokenId>> JinjaTemplate::render(const Conversation& conversation) const {
  FLOTILLA_TRY(auto prompt, render_prompt(conversation));
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

Result<std::string> JinjaTemplate::render_text(const Conversation& conversation) const {
  FLOTILLA_TRY(const auto prompt, render_prompt(conversation));
  std::string text;
  for (const TextPiece& piece : prompt.pieces) text += piece.text;
  return text;
}

// Of a base model, to which no dialogue was taught, or of a file whose template is of no use: only chats are refused.
class NoTemplate final : public ChatTemplate {
 public:
  explicit NoTemplate(std::string why) : why_{Code::unsupported, std::move(why)} {}
  Result<std::vector<TokenId>> render(const Conversation&) const override { return fail(why_); }
  Result<std::string> render_text(const Conversation&) const override { return fail(why_); }
  const AnswerFormat& answer_format() const override { return format_; }

 private:
  Error why_;
  AnswerFormat format_;
};

}  // namespace

std::shared_ptr<const ChatTemplate> ChatTemplate::create(std::string source,
                                                         std::shared_ptr<const Tokenizer> tokenizer) {
  if (source.empty())
    return std::make_shared<NoTemplate>(
        "[text] expected a model with a chat template but this file has none; send plain text to /v1/completions");
  if (source.size() > source_bytes_max)
    return std::make_shared<NoTemplate>(
        std::format("[text] expected a chat template of at most {} bytes but this file's has {}; send plain text to "
                    "/v1/completions",
                    source_bytes_max, source.size()));
  RustAnswer answer;
  const FlotillaRenderLimits bounds{limits::template_steps_max, limits::template_output_bytes_max};
  TemplatePointer compiled(flotilla_template_create(source.data(), source.size(), bounds, &answer.raw));
  if (compiled == nullptr)
    return std::make_shared<NoTemplate>(std::format(
        "[text] expected a chat template that parses but got: {}; send plain text to /v1/completions", answer.text()));
  return std::make_shared<JinjaTemplate>(std::move(compiled), std::move(source), std::move(tokenizer));
}

}  // namespace flotilla
