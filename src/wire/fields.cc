#include "wire/fields.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <format>

#include "base/check.h"
#include "base/limits.h"
#include "wire/plain_text.h"

namespace flotilla {
namespace {

// The library's reader recurses, once per nesting level and per piece of a string of indefinite length, and builds as
// it goes. So the form is walked first, without recursion and without building: what passes is at most this deep and
// large.
constexpr std::size_t depth_max = 16;
constexpr std::size_t items_max = std::size_t{1} << 18;  // the longest list is a stage's downloads: 16,384 × 7 items
static_assert(limits::vocabulary_max <= 1u << 24, "a packed token id has three bytes");
static_assert(limits::context_tokens_max * std::size_t{3} + (64u << 10) <= limits::control_body_bytes_max,
              "the longest prompt fits a control frame");

// A CBOR item's first byte and the number that follows it (RFC 8949, section 3).
struct ItemHead {
  unsigned major = 0, info = 0;
  std::uint64_t argument = 0;
};

ItemHead take_head(ByteReader& reader) {
  const unsigned first = reader.number<std::uint8_t>();
  ItemHead head{.major = first >> 5u, .info = first & 31u, .argument = first & 31u};
  if (head.info == 24) head.argument = reader.number<std::uint8_t>();
  if (head.info == 25) head.argument = std::byteswap(reader.number<std::uint16_t>());
  if (head.info == 26) head.argument = std::byteswap(reader.number<std::uint32_t>());
  if (head.info == 27) head.argument = std::byteswap(reader.number<std::uint64_t>());
  return head;
}

// nullptr where the form is one we read, else what is wrong with it.
const char* wrong_form(std::span<const std::byte> body) {
  ByteReader reader(body);
  std::array<std::uint64_t, depth_max> left{1};  // items still to come, per level
  std::size_t depth = 0, items = 0;
  while (true) {
    while (left[depth] == 0) {
      if (depth == 0) return reader.done() ? nullptr : "bytes behind its end";
      --depth;
    }
    --left[depth];
    const ItemHead head = take_head(reader);
    if (!reader.ok()) return "an end in the middle";
    if (head.info > 27) return "an item of indefinite length";
    if (++items > items_max) return "too many items";
    if (head.major == 2 || head.major == 3) {
      if (head.argument > reader.left()) return "a string longer than the body";
      reader.raw(head.argument);
    } else if (head.major == 4 || head.major == 5) {
      if (head.argument > reader.left()) return "a list longer than the body";
      if (++depth == depth_max) return "too deep a nesting";
      left[depth] = head.argument * (head.major - 3);
    } else if (head.major == 6) {
      return "a tag";
    } else if (head.major == 7 && !(head.info >= 20 && head.info <= 22) && head.info < 25) {
      return "a simple value other than true, false and null";
    }
  }
}

std::string describe_json(const Json& json) {
  switch (json.type()) {
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return json.dump();
    case Json::value_t::number_float:
      return std::format("{}", json.get<double>());
    case Json::value_t::string:
      return std::format("a string of {} bytes", json.get_ref<const std::string&>().size());
    case Json::value_t::binary:
      return std::format("{} octets", json.get_binary().size());
    case Json::value_t::array:
      return std::format("a list of {}", json.size());
    case Json::value_t::object:
      return "a map";
    default:
      return json.dump();  // null, true, false
  }
}

}  // namespace

void Complaint::expected(std::string_view what, const Json& got, Code code) {
  say(code, std::format("expected {} in {{}} but got {}", what, describe_json(got)));
}

void Complaint::say(Code code, std::string what) {
  if (!error_) error_ = Error{code, std::move(what)};
}

Error Complaint::error(std::string_view message) const {
  check(error_.has_value(), "asked for an error where there was none");
  std::string text = error_->message;
  const std::string where = std::format("{}{}", message, where_);
  if (const auto at = text.find("{}"); at != std::string::npos) text.replace(at, 2, where);
  return {error_->code, std::format("[wire] {}; the peer is broken or of a release too far from ours", text)};
}

void read_bool(const Json& json, bool& value, Complaint& complaint) {
  if (!json.is_boolean()) return complaint.expected("true or false", json);
  value = json.get<bool>();
}

std::uint64_t read_unsigned(const Json& json, std::uint64_t low, std::uint64_t high, Complaint& complaint) {
  const std::uint64_t value = json.is_number_unsigned() ? json.get<std::uint64_t>() : 0;
  if (json.is_number_unsigned() && value >= low && value <= high) return value;
  complaint.expected(std::format("a whole number from {} to {}", low, high), json);
  return low;
}

std::int64_t read_signed(const Json& json, std::int64_t low, std::int64_t high, Complaint& complaint) {
  if (json.is_number_integer()) {  // of either sign
    const bool fits = !json.is_number_unsigned() || json.get<std::uint64_t>() <= INT64_MAX;
    const std::int64_t value = fits ? json.get<std::int64_t>() : 0;
    if (fits && value >= low && value <= high) return value;
  }
  complaint.expected(std::format("a whole number from {} to {}", low, high), json);
  return low;
}

double read_real(const Json& json, double low, double high, Complaint& complaint) {
  const double value = json.is_number() ? json.get<double>() : NAN;
  if (std::isfinite(value) && value >= low && value <= high) return value;
  complaint.expected(std::format("a finite number from {} to {}", low, high), json);
  return low;
}

void read_octets(const Json& json, std::span<std::byte> value, Complaint& complaint) {
  if (!json.is_binary() || json.get_binary().size() != value.size()) {
    return complaint.expected(std::format("{} octets", value.size()), json);
  }
  std::ranges::copy(std::as_bytes(std::span(json.get_binary())), value.begin());  // of none too, where data() is null
}

void read(const Json& json, Bytes& value, Octets rule, Complaint& complaint) {
  if (!json.is_binary() || json.get_binary().size() > rule.most)
    return complaint.expected(std::format("at most {} octets", rule.most), json);
  value.resize(json.get_binary().size());
  read_octets(json, value, complaint);
}

void read(const Json& json, std::string& value, Text rule, Complaint& complaint) {
  if (!json.is_string()) return complaint.expected("a string", json);
  const auto& text = json.get_ref<const std::string&>();
  const std::size_t bytes_max = rule == Text::path     ? path_bytes_max
                                : rule == Text::prose  ? prose_bytes_max
                                : rule == Text::source ? limits::constraint_bytes_max
                                                       : name_bytes_max;
  if (text.size() > bytes_max) {
    return complaint.expected(std::format("at most {} bytes of text", bytes_max), json, Code::too_large);
  }
  if (rule == Text::name && !is_name(text)) return complaint.expected("UTF-8 without control characters", json);
  if (rule == Text::hex && text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return complaint.expected("lower-case hexadecimal digits", json);
  }
  if (rule == Text::path && text.find('\0') != std::string::npos) return complaint.expected("a path", json);
  value = rule == Text::prose ? tidy_prose(text) : text;
}

void read(const Json& json, NodeId& value, Plain, Complaint& complaint) {
  if (!json.is_binary() || json.get_binary().size() != value.bytes.size())
    return complaint.expected("a node's 16 octets", json);
  std::memcpy(value.bytes.data(), json.get_binary().data(), value.bytes.size());
}

void read(const Json& json, Code& value, Plain, Complaint& complaint) {
  std::string name;
  read(json, name, Text::name, complaint);
  value = code_from_string(name);
}

void read(const Json& json, std::vector<TokenId>& value, Packed, Complaint& complaint) {
  if (!json.is_binary() || json.get_binary().size() % 3 != 0) return complaint.expected("octets, three a token", json);
  const auto& octets = json.get_binary();
  if (octets.size() / 3 > limits::context_tokens_max) {
    return complaint.expected(std::format("at most {} tokens", limits::context_tokens_max), json, Code::too_large);
  }
  value.resize(octets.size() / 3);
  for (std::size_t i = 0; i < value.size(); ++i) {
    const TokenId token = octets[3 * i] | octets[3 * i + 1] << 8 | octets[3 * i + 2] << 16;
    if (token >= static_cast<TokenId>(limits::vocabulary_max))
      return complaint.expected("tokens of a vocabulary", token);
    value[i] = token;
  }
}

MapReader::MapReader(const Json& map, Complaint& complaint) : map_(map), complaint_(complaint) {
  if (!map.is_object()) complaint.expected("a map", map);
}

const Json* MapReader::find(const char* key, bool required) {
  if (complaint_.any()) return nullptr;
  const auto found = map_.find(key);
  if (found != map_.end()) return &*found;
  if (required) complaint_.say(Code::corrupt, std::format("expected a field '{}' in {{}} but found none", key));
  return nullptr;
}

bool MapReader::check_list(const Json& json, Count count) {
  if (json.is_array() && json.size() >= count.low && json.size() <= count.high) return true;
  const bool too_many = json.is_array() && json.size() > count.high;
  complaint_.expected(std::format("a list of {} to {} items", count.low, count.high), json,
                      too_many ? Code::too_large : Code::corrupt);
  return false;
}

Result<Json> map_from_cbor(std::string_view message, std::span<const std::byte> body) {
  Complaint complaint;
  if (const char* wrong = wrong_form(body)) {
    complaint.say(Code::corrupt, std::format("expected plain CBOR in {{}} but got {}", wrong));
    return fail(complaint.error(message));
  }
  try {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(body.data());
    Json json = Json::from_cbor(bytes, bytes + body.size());
    if (json.is_object()) return json;
    complaint.expected("a map", json);
  } catch (const std::exception& exception) {
    complaint.say(Code::corrupt,
                  std::format("expected a CBOR map in {{}} but got bytes that are none ({})", exception.what()));
  }
  return fail(complaint.error(message));
}

Json write(const std::string& value, Text rule) { return rule == Text::prose ? tidy_prose(value) : value; }

Json write_octets(std::span<const std::byte> value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(value.data());
  return Json::binary(std::vector<std::uint8_t>(bytes, bytes + value.size()));
}

Json write(const Bytes& value, Octets) { return write_octets(value); }

Json write(const NodeId& value, Plain) { return write_octets(std::as_bytes(std::span(value.bytes))); }

Json write(Code value, Plain) { return std::string(to_string(value)); }

Json write(const std::vector<TokenId>& value, Packed) {
  std::vector<std::uint8_t> octets;
  octets.reserve(value.size() * 3);
  for (const TokenId token : value) {
    for (const int shift : {0, 8, 16}) octets.push_back(static_cast<std::uint8_t>(token >> shift));
  }
  return Json::binary(std::move(octets));
}

Bytes to_cbor(const Json& json) {
  const std::vector<std::uint8_t> octets = Json::to_cbor(json);
  const auto bytes = std::as_bytes(std::span(octets));
  return {bytes.begin(), bytes.end()};
}

}  // namespace flotilla
