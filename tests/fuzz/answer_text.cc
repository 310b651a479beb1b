// What models write: however it is cut, the parts are the same, and nothing but marks and white space is lost. The
// first byte chooses how it is read.
#include <algorithm>
#include <string>

#include "fuzz.h"
#include "text/answer_parser.h"

namespace flotilla::fuzz {
namespace {

AnswerParts read(const AnswerReading& reading, std::string_view text, std::size_t piece) {
  AnswerParser parser(reading);
  AnswerParts parts;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    for (auto& part : parser.add(text.substr(at, piece))) append(parts, std::move(part));
  }
  for (auto& part : parser.finish()) append(parts, std::move(part));
  return parts;
}

void run(const AnswerReading& reading, std::string_view text) {
  const auto whole = read(reading, text, std::max<std::size_t>(text.size(), 1));
  for (const std::size_t piece : {1u, 3u, 17u}) claim(read(reading, text, piece) == whole, "cuts change nothing");
  std::size_t bytes = 0;
  for (const auto& part : whole) {
    if (part.kind == AnswerPart::Kind::call) {
      claim(!part.name.empty() && part.text.starts_with('{'), "a call has a name and an object");
    } else {
      claim(!part.text.empty() && text.contains(part.text.substr(0, 1)), "text is text that came");
      bytes += part.text.size();
    }
  }
  claim(bytes <= text.size(), "no text comes from nowhere");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  if (size == 0) return 0;
  const AnswerReading reading{.calls = static_cast<CallFormat>(data[0] % 4),
                              .thinks = (data[0] & 4) != 0,
                              .begun_thinking = (data[0] & 12) == 12,
                              .tools = {"f"}};
  fuzz::run(reading, fuzz::text_of(fuzz::bytes_of_input(data + 1, size - 1)));
  return 0;
}
