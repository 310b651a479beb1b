// A vocabulary as a file may have it, however it contradicts itself. The input is a CBOR map with the fields of
// VocabularyData and "text", what is then encoded with it.
#include "fuzz.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "wire/fields.h"

namespace flotilla::fuzz {
namespace {

constexpr std::size_t text_bytes_max = 4096;

std::string text_in(const Json& map, const char* key) {
  const auto found = map.find(key);
  return found != map.end() && found->is_string() ? found->get<std::string>() : std::string();
}

template <class Value, class Take>
void take_list(const Json& map, const char* key, std::vector<Value>& values, Take take) {
  const auto found = map.find(key);
  if (found == map.end() || !found->is_array()) return;
  for (const Json& each : *found) values.push_back(take(each));
}

std::string as_text(const Json& json) { return json.is_string() ? json.get<std::string>() : std::string(); }
float as_real(const Json& json) { return json.is_number() ? json.get<float>() : 0; }
std::int32_t as_number(const Json& json) {
  return json.is_number_integer() ? static_cast<std::int32_t>(json.get<std::int64_t>()) : 0;
}

VocabularyData vocabulary_of(const Json& map) {
  VocabularyData data{.model = text_in(map, "model"), .pre = text_in(map, "pre")};
  take_list(map, "tokens", data.tokens, as_text);
  take_list(map, "merges", data.merges, as_text);
  take_list(map, "scores", data.scores, as_real);
  take_list(map, "kinds", data.kinds, as_number);
  if (const auto special = map.find("special"); special != map.end() && special->is_object())
    for (const auto& [role, token] : special->items()) data.special[role] = as_number(token);
  if (const auto flags = map.find("flags"); flags != map.end() && flags->is_object())
    for (const auto& [flag, value] : flags->items()) data.flags[flag] = value == true;
  data.chat_template = text_in(map, "chat_template");
  return data;
}

void use(const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& text) {
  for (const bool is_trusted : {false, true}) {
    const auto tokens = tokenizer->encode(text, true, is_trusted);
    for (const TokenId token : tokens)
      claim(token >= 0 && std::cmp_less(token, tokenizer->size()), "a token is of the vocabulary");
    tokenizer->decode(tokens, is_trusted);
  }
  for (TokenId token = -1; std::cmp_less_equal(token, tokenizer->size()); ++token) tokenizer->piece(token, true);
  for (const TokenId token : tokenizer->end_of_generation())
    claim(token >= 0 && std::cmp_less(token, tokenizer->size()), "an end is of the vocabulary");
  claim(tokenizer->token_bytes_max() > 0, "a token has a length");
  const auto chat = ChatTemplate::create(tokenizer->chat_template(), tokenizer);
  const auto prompt = chat->render({{.role = "user", .content = text, .name = {}}}, true);
  claim(prompt || prompt.error().code != Code::internal, "no vocabulary makes the interpreter fail");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto map = map_from_cbor("input", fuzz::bytes_of_input(data, size));
  if (!map) return -1;
  const auto tokenizer = Tokenizer::create(fuzz::vocabulary_of(*map));
  if (!tokenizer) {
    fuzz::claim(tokenizer.error().message.starts_with("[text] "), "an error says whose it is");
    return 0;
  }
  fuzz::use(*tokenizer, fuzz::text_in(*map, "text").substr(0, fuzz::text_bytes_max));
  return 0;
}
