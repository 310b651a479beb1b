// JSON from strangers: parsed within bounds, its fields read by name and type. Nothing here throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

using Json = nlohmann::ordered_json;  // what we write keeps the order in which we wrote it

// A prompt of a million token ids and room for the rest. Each value costs tens of bytes once parsed, so that without
// this bound 64 MiB of "[]," would become gigabytes.
inline constexpr std::size_t json_values_max = 2'000'000;

// invalid_argument (with the byte where it went wrong), too_large beyond depth_max or json_values_max.
Result<nlohmann::json> parse_json(std::string_view text, std::size_t depth_max);

// One line; bytes that are no UTF-8 become U+FFFD.
std::string dump(const Json& json);
std::string dump(const nlohmann::json& json);

std::string type_of(const nlohmann::json& value);  // "a number", "an array of 3 items": for messages

// Reads the fields of one object. Absent and null are alike. The first field that is wrong is kept, later reads go on
// and give nothing, so that a reader reads all it wants and asks once.
class JsonFields {
 public:
  struct Fault {
    Error error;
    std::string param;  // the field's full name
  };
  // `object` outlives this. `where` stands before names in messages: "messages[3]."; empty at the top.
  explicit JsonFields(const nlohmann::json& object, std::string where = {});

  const nlohmann::json* find(std::string_view name) const;                                 // null: absent
  std::string name_of(std::string_view name) const { return where_ + std::string(name); }  // in full
  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name, double least, double most);  // finite, least ≤ value ≤ most
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);  // 5.0 is one too
  std::optional<std::string> text(std::string_view name);
  const nlohmann::json* object(std::string_view name);
  const nlohmann::json* array(std::string_view name, std::size_t items_max);

  void wrong(std::string_view name, Code code, std::string message);  // keeps the first
  void expected(std::string_view name, std::string_view what, const nlohmann::json& got);

  void adopt(const Fault& fault);  // of an object within this one; keeps the first
  const std::optional<Fault>& fault() const { return fault_; }

 private:
  const nlohmann::json& object_;
  std::string where_;
  std::optional<Fault> fault_;
};

}  // namespace flotilla
