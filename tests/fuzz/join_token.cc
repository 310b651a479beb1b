// What people copy and type to let a machine in, and the book of tokens given out. The first byte chooses.
#include <array>
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "input_file.h"
#include "trust/checked_text.h"
#include "trust/join_token.h"
#include "trust/known_devices.h"

namespace flotilla::fuzz {
namespace {

void read_typed(std::string_view text) {
  if (const auto token = JoinToken::parse(text)) {
    const auto again = JoinToken::parse(token->text());
    claim(again && again->text() == token->text(), "a token is read as it is shown");
  }
  if (const auto id = device_id_from_string(text)) {
    const auto again = device_id_from_string(to_string(*id));
    claim(again && *again == *id, "an id is read as it is shown");
    claim(to_string(node_id_of(*id)).size() == 32, "a node's id is the short form");
  }
}

// 32 bytes, which letter of them is mistyped and how.
void mistype(Input input) {
  std::array<std::byte, 32> bytes{};
  const auto given = input.bytes(bytes.size());
  std::memcpy(bytes.data(), given.data(), given.size());
  std::string text = to_checked_text(bytes);
  const auto read = from_checked_text(in_groups(text), "a text");
  claim(read && *read == bytes, "a checked text is read as it is shown");
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  char& letter = text[input.number<std::uint8_t>() % text.size()];
  const char typed = letters[input.number<std::uint8_t>() % letters.size()];
  if (letter == typed) return;
  letter = typed;
  claim(!from_checked_text(text, "a text"), "a wrong letter is noticed");
}

void read_book(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return;
  auto book = TokenBook::from_json(json);
  if (!book) return claim(book.error().code == Code::corrupt, "what is no book is corrupt");
  const auto written = book->to_json();
  const auto again = TokenBook::from_json(written);
  claim(again && again->to_json() == written, "a book is read as it was written");
  // Of a token that is in the book or of none: the proof is made up, so nobody comes in.
  TokenProof proof;
  if (!written.empty()) proof.token.fill(std::byte{0x11});
  const WallTime now{std::chrono::seconds(1'700'000'000)};
  claim(!book->redeem(proof, {}, TokenBook::User(), now), "a proof made up lets nobody in");
  if (const auto token = book->create({}, std::chrono::minutes(5), 1, now)) {
    claim(book->redeem(token->prove({}, {}), {}, TokenBook::User(), now).has_value(), "a token just made lets one in");
    claim(!book->redeem(token->prove({}, {}), {}, {.device = DeviceId{{std::byte{1}}}}, now),
          "and no other by the same proof");
  }
}

void read_known(std::string_view text) {
  const InputFile file(text);
  const auto devices = KnownDevices(file.path()).all();
  claim(devices.size() <= KnownDevices::lines_max, "no more names than are remembered");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla::fuzz;
  Input input(data, size);
  switch (input.number<std::uint8_t>() % 4) {
    case 0:
      read_typed(input.rest_text());
      break;
    case 1:
      mistype(input);
      break;
    case 2:
      read_book(input.rest_text());
      break;
    default:
      read_known(input.rest_text());
  }
  return 0;
}
