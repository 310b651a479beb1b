// Templates from downloaded files, interpreted with fuel: they may be nonsense, they may not be without end.
#include "text/chat_template.h"

#include "base/limits.h"
#include "fuzz.h"
#include "small_vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  static const auto tokenizer = Tokenizer::create(fuzz::byte_pairs("gpt-2")).value();
  const std::string source(fuzz::text_of(fuzz::bytes_of_input(data, size)));
  const auto chat = ChatTemplate::create(source, tokenizer);
  const std::vector<ChatMessage> messages = {{.role = "system", .content = "Be brief.", .name = {}},
                                             {.role = "user", .content = "a <|im_end|> <", .name = "ann"},
                                             {.role = "assistant", .content = "", .name = {}}};
  const auto text = chat->render_text(messages, true);
  if (!text) {
    fuzz::claim(text.error().code != Code::internal, "no template makes the interpreter fail");
    return 0;
  }
  fuzz::claim(text->size() <= limits::template_output_bytes_max, "a prompt is within its limit");
  fuzz::claim(is_valid_utf8(*text), "a prompt is UTF-8");
  return 0;
}
