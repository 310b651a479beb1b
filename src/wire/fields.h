// Inside wire only: a message as one list of its fields, which serves reading and writing.
//
//   template <class Map>
//   void describe(Map& map, Is<LoadProgress> auto& m) {
//     map.field("ticket", m.ticket);
//     map.field("text", m.text, Text::prose);
//   }
//
// A MapWriter makes a CBOR map of it; a MapReader fills the message from one, checking presence, type, range and count.
// Fields a map has beyond the list are ignored: they come from a newer release. The first thing found wrong is kept,
// and what follows is read no further. This is the one place that adapts nlohmann::json; nothing here throws.
#pragma once

#include <array>
#include <cfloat>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "wire/plain_text.h"

namespace flotilla {

using Json = nlohmann::json;

template <class Message, class T>
concept Is = std::same_as<std::remove_const_t<Message>, T>;

// --- Rules: what a value must be, beyond its type ------------------------------------------------
enum class Text {
  name,   // 256 bytes of UTF-8 without control characters: names, codes, versions, addresses
  hex,    // the same, hexadecimal digits only: fingerprints become file names
  path,   // 4096 bytes, any but NUL, as the file system has them
  prose,  // 8 KiB for people; both sides make it tidy, so that it is never the reason to refuse a message
  source, // 256 KiB for a compiler, which has rules of its own
};
inline constexpr std::size_t path_bytes_max = 4096;

template <class Low, class High>
struct Within {  // both ends included; numbers are always finite
  Low low;
  High high;
};
struct Count {  // of a list's items
  std::size_t low = 0, high = 0;
};
struct Plain {};   // whatever the type can hold; a described message as its own map
struct Octets {    // bytes of any number up to this
  std::size_t most = 0;
};
struct Packed {};  // token ids, three bytes each, little-endian: a vocabulary ends far below 2^24

// --- Reading -------------------------------------------------------------------------------------
// The first thing found wrong in a body and where: ".devices[1].threads".
class Complaint {
 public:
  bool any() const { return error_.has_value(); }
  void expected(std::string_view what, const Json& got, Code code = Code::corrupt);
  void say(Code code, std::string what);
  void inside(std::string_view step) { where_.insert(0, step); }
  Error error(std::string_view message) const;  // "[wire] expected a string in load_model.model but got null; …"

 private:
  std::optional<Error> error_;
  std::string where_;
};

void read_bool(const Json& json, bool& value, Complaint& complaint);
std::uint64_t read_unsigned(const Json& json, std::uint64_t low, std::uint64_t high, Complaint& complaint);
std::int64_t read_signed(const Json& json, std::int64_t low, std::int64_t high, Complaint& complaint);
double read_real(const Json& json, double low, double high, Complaint& complaint);
void read_octets(const Json& json, std::span<std::byte> value, Complaint& complaint);

void read(const Json& json, std::string& value, Text rule, Complaint& complaint);
void read(const Json& json, NodeId& value, Plain, Complaint& complaint);
void read(const Json& json, Code& value, Plain, Complaint& complaint);
void read(const Json& json, std::vector<TokenId>& value, Packed, Complaint& complaint);
void read(const Json& json, Bytes& value, Octets rule, Complaint& complaint);

template <class T, class Low, class High>
  requires std::is_arithmetic_v<T>
void read(const Json& json, T& value, Within<Low, High> rule, Complaint& complaint) {
  if constexpr (std::floating_point<T>) {
    value = static_cast<T>(read_real(json, static_cast<double>(rule.low), static_cast<double>(rule.high), complaint));
  } else if constexpr (std::unsigned_integral<T>) {
    value = static_cast<T>(read_unsigned(json, static_cast<T>(rule.low), static_cast<T>(rule.high), complaint));
  } else {
    value = static_cast<T>(read_signed(json, static_cast<T>(rule.low), static_cast<T>(rule.high), complaint));
  }
}

template <std::size_t N>
void read(const Json& json, std::array<std::byte, N>& value, Plain, Complaint& complaint) {
  read_octets(json, value, complaint);
}

template <class T>
void read(const Json& json, T& value, Plain, Complaint& complaint);  // a number, a bool or a described message

class MapReader {
 public:
  MapReader(const Json& map, Complaint& complaint);

  template <class T, class Rule = Plain>
  void field(const char* key, T& value, Rule rule = {}) {
    if (const Json* json = find(key, true)) inside(key, [&] { read(*json, value, rule, complaint_); });
  }
  // A field that a later release added: absent, from an older peer, it leaves what `value` has by default.
  template <class T, class Rule = Plain>
  void added(const char* key, T& value, Rule rule = {}) {
    if (const Json* json = find(key, false)) inside(key, [&] { read(*json, value, rule, complaint_); });
  }
  // Absent is allowed, and leaves `value` empty.
  template <class T>
  void optional(const char* key, std::optional<T>& value) {
    const Json* json = find(key, false);
    if (json != nullptr) inside(key, [&] { read(*json, value.emplace(), Plain{}, complaint_); });
  }
  // One of an enumeration that counts from 0 to `last`.
  template <class Enum>
  void choice(const char* key, Enum& value, Enum last) {
    using Number = std::underlying_type_t<Enum>;
    Number number{};
    field(key, number, Within{Number{0}, static_cast<Number>(last)});
    if (!complaint_.any()) value = static_cast<Enum>(number);
  }
  template <class Enum>
  void added_choice(const char* key, Enum& value, Enum last) {
    if (find(key, false) != nullptr) choice(key, value, last);
  }
  template <class T, class Rule = Plain>
  void list(const char* key, std::vector<T>& values, Count count, Rule rule = {}) {
    const Json* json = find(key, true);
    if (json == nullptr) return;
    inside(key, [&] {
      if (!check_list(*json, count)) return;
      values.resize(json->size());
      for (std::size_t i = 0; i < values.size() && !complaint_.any(); ++i) {
        read((*json)[i], values[i], rule, complaint_);
        if (complaint_.any()) complaint_.inside("[" + std::to_string(i) + "]");
      }
    });
  }
  // A list that a later release added.
  template <class T, class Rule = Plain>
  void added_list(const char* key, std::vector<T>& values, Count count, Rule rule = {}) {
    if (find(key, false) != nullptr) list(key, values, count, rule);
  }
  // What holds between fields.
  void must(bool holds, const char* what) {
    if (!complaint_.any() && !holds) complaint_.say(Code::corrupt, what);
  }

 private:
  const Json* find(const char* key, bool required);
  bool check_list(const Json& json, Count count);
  template <class Read>
  void inside(const char* key, Read reading) {
    reading();
    if (complaint_.any()) complaint_.inside("." + std::string(key));
  }

  const Json& map_;
  Complaint& complaint_;
};

template <class T>
void read(const Json& json, T& value, Plain, Complaint& complaint) {
  if constexpr (std::same_as<T, bool>) {
    read_bool(json, value, complaint);
  } else if constexpr (std::floating_point<T>) {
    read(json, value, Within{std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()}, complaint);
  } else if constexpr (std::integral<T>) {
    read(json, value, Within{std::numeric_limits<T>::min(), std::numeric_limits<T>::max()}, complaint);
  } else {
    MapReader map(json, complaint);
    describe(map, value);
  }
}

// Checks the form of the CBOR (definite lengths, no tags, depth, count of items) before anything is built from it.
Result<Json> map_from_cbor(std::string_view message, std::span<const std::byte> body);

template <class T>
Result<T> decode_map(std::string_view message, std::span<const std::byte> body) {
  FLOTILLA_TRY(const Json json, map_from_cbor(message, body));
  Complaint complaint;
  MapReader map(json, complaint);
  T value;
  describe(map, value);
  if (complaint.any()) return fail(complaint.error(message));
  return value;
}

// --- Writing -------------------------------------------------------------------------------------
Json write(const std::string& value, Text rule);
Json write(const NodeId& value, Plain);
Json write(Code value, Plain);
Json write(const std::vector<TokenId>& value, Packed);
Json write(const Bytes& value, Octets);
Json write_octets(std::span<const std::byte> value);

template <std::size_t N>
Json write(const std::array<std::byte, N>& value, Plain) {
  return write_octets(value);
}

template <class T, class Low, class High>
Json write(T value, Within<Low, High>) {
  return value;
}

template <class T>
Json write(const T& value, Plain);

class MapWriter {
 public:
  template <class T, class Rule = Plain>
  void field(const char* key, const T& value, Rule rule = {}) {
    map_[key] = write(value, rule);
  }
  template <class T, class Rule = Plain>
  void added(const char* key, const T& value, Rule rule = {}) {
    field(key, value, rule);
  }
  template <class T>
  void optional(const char* key, const std::optional<T>& value) {
    if (value) map_[key] = write(*value, Plain{});
  }
  template <class Enum>
  void choice(const char* key, Enum value, Enum) {
    map_[key] = static_cast<std::underlying_type_t<Enum>>(value);
  }
  template <class Enum>
  void added_choice(const char* key, Enum value, Enum last) {
    choice(key, value, last);
  }
  template <class T, class Rule = Plain>
  void list(const char* key, const std::vector<T>& values, Count, Rule rule = {}) {
    Json& list = map_[key] = Json::array();
    for (const T& value : values) list.push_back(write(value, rule));
  }
  template <class T, class Rule = Plain>
  void added_list(const char* key, const std::vector<T>& values, Count count, Rule rule = {}) {
    list(key, values, count, rule);
  }
  void must(bool, const char*) {}
  Json& map() { return map_; }

 private:
  Json map_ = Json::object();
};

template <class T>
Json write(const T& value, Plain) {
  if constexpr (std::is_arithmetic_v<T>) {
    return value;
  } else {
    MapWriter map;
    describe(map, value);
    return std::move(map.map());
  }
}

Bytes to_cbor(const Json& json);

template <class T>
Bytes encode_map(const T& message) {
  return to_cbor(write(message, Plain{}));
}

}  // namespace flotilla
