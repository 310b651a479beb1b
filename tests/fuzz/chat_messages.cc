// Messages of users in templates as models have them: whatever they hold, the prompt has the control tokens that the
// template writes and no other. The input is a CBOR map: "template", a number, and "messages", a list of lists
// [role, content, name].
#include <algorithm>
#include <array>

#include "fuzz.h"
#include "small_vocabulary.h"
#include "text/chat_template.h"
#include "wire/fields.h"

namespace flotilla::fuzz {
namespace {

constexpr std::size_t messages_max = 16;
constexpr std::array<const char*, 5> roles = {"system", "user", "assistant", "tool", "developer"};

// Each shape of template once: plain, one that trims and writes BOS, one that takes parts out, one that escapes.
constexpr std::array<const char*, 4> sources = {
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}{% if m.name %} ({{ m.name | trim }}){% endif "
    "%}\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}",
    "{% for m in messages %}[INST] {{ m.content.split('</think>')[-1].replace('/think', '') }}</s>{% endfor %}",
    "{% for m in messages %}<|im_start|>{{ m.content | tojson }}<|im_end|>{{ m.content | upper | lower }}{% endfor %}",
};

const std::shared_ptr<const Tokenizer>& tokenizer() {
  static const auto made = Tokenizer::create(byte_pairs("gpt-2")).value();
  return made;
}

const ChatTemplate& chat_template(std::size_t number) {
  static const auto made = [] {
    std::array<std::shared_ptr<const ChatTemplate>, sources.size()> list;
    std::ranges::transform(sources, list.begin(),
                           [](const char* source) { return ChatTemplate::create(source, tokenizer()); });
    return list;
  }();
  return *made[number % sources.size()];
}

std::vector<ChatMessage> messages_of(const Json& map) {
  std::vector<ChatMessage> messages;
  const auto list = map.find("messages");
  if (list == map.end() || !list->is_array()) return messages;
  for (const Json& each : *list) {
    if (!each.is_array() || each.size() != 3 || messages.size() >= messages_max) continue;
    const std::size_t role = each[0].is_number_unsigned() ? each[0].get<std::size_t>() : 0;
    messages.push_back({.role = roles[role % roles.size()],
                        .content = each[1].is_string() ? each[1].get<std::string>() : std::string(),
                        .name = each[2].is_string() ? each[2].get<std::string>() : std::string()});
  }
  return messages;
}

std::vector<TokenId> controls(const std::vector<TokenId>& tokens) {
  std::vector<TokenId> found;
  for (const TokenId token : tokens)
    if (tokenizer()->kind(token) == TokenKind::control) found.push_back(token);
  return found;
}

void run(const ChatTemplate& chat, const std::vector<ChatMessage>& messages) {
  const auto prompt = chat.render(messages, true);
  if (!prompt) return claim(prompt.error().code != Code::internal, "no message makes the interpreter fail");
  std::vector<ChatMessage> harmless = messages;
  for (ChatMessage& message : harmless) {
    message.content = "x";
    if (!message.name.empty()) message.name = "y";
  }
  const auto plain = chat.render(harmless, true);
  claim(plain && controls(*plain) == controls(*prompt), "messages bring no control token into a prompt");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto map = map_from_cbor("input", fuzz::bytes_of_input(data, size));
  if (!map) return -1;
  const auto number = map->find("template");
  const bool is_numbered = number != map->end() && number->is_number_unsigned();
  fuzz::run(fuzz::chat_template(is_numbered ? number->get<std::size_t>() : 0), fuzz::messages_of(*map));
  return 0;
}
