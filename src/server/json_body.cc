#include "server/json_body.h"

#include <cmath>
#include <format>
#include <utility>

namespace flotilla {
namespace {

// Counts nesting and values on the bytes alone, before a single value is built: right for valid JSON, and of invalid
// JSON the parser itself complains.
Status check_size(std::string_view text, std::size_t depth_max) {
  std::size_t depth = 0, values = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') {
      if (++depth > depth_max) {
        return fail(Code::invalid_argument,
                    "[server] expected JSON nested at most {} levels but byte {} opens level {}", depth_max, i, depth);
      }
      ++values;
    }
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == ',') ++values;
  }
  if (values > json_values_max) {
    return fail(Code::too_large, "[server] expected at most {} JSON values but got {}", json_values_max, values);
  }
  return {};
}

// Tells where parsing failed without quoting the client's bytes, which may be megabytes or secrets.
class ErrorPosition : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::size_t byte = 0;
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    byte = position;
    return false;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
};

std::string number_text(double value) { return std::format("{}", value); }

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text, std::size_t depth_max) {
  FLOTILLA_TRY_STATUS(check_size(text, depth_max));
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_discarded()) return json;
  if (text.empty()) return fail(Code::invalid_argument, "[server] expected a JSON body but got an empty one");
  ErrorPosition position;
  nlohmann::json::sax_parse(text, &position);
  return fail(Code::invalid_argument, "[server] expected JSON but the body is not valid at byte {} of {}",
              position.byte, text.size());
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }
std::string dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string type_of(const nlohmann::json& value) {
  using Type = nlohmann::json::value_t;
  switch (value.type()) {
    case Type::null:
      return "null";
    case Type::boolean:
      return value.get<bool>() ? "true" : "false";
    case Type::string:
      return "a string";
    case Type::array:
      return std::format("an array of {} items", value.size());
    case Type::object:
      return "an object";
    case Type::number_integer:
      return std::format("{}", value.get<std::int64_t>());
    case Type::number_unsigned:
      return std::format("{}", value.get<std::uint64_t>());
    case Type::number_float:
      return number_text(value.get<double>());
    default:
      return "something else";
  }
}

JsonFields::JsonFields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) {
    const auto name = where_.empty() ? std::string("the body") : where_.substr(0, where_.size() - 1);
    fault_ = Fault{
        {Code::invalid_argument, std::format("[server] expected {} to be an object but got {}", name, type_of(object))},
        where_.empty() ? std::string() : name};
  }
}

const nlohmann::json* JsonFields::find(std::string_view name) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::wrong(std::string_view name, Code code, std::string message) {
  if (!fault_) fault_ = Fault{{code, "[server] " + std::move(message)}, where_ + std::string(name)};
}

void JsonFields::adopt(const Fault& fault) {
  if (!fault_) fault_ = fault;
}

void JsonFields::expected(std::string_view name, std::string_view what, const nlohmann::json& got) {
  wrong(name, Code::invalid_argument,
        std::format("expected {}{} to be {} but got {}", where_, name, what, type_of(got)));
}

std::optional<bool> JsonFields::boolean(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  expected(name, "true or false", *value);
  return std::nullopt;
}

std::optional<double> JsonFields::number(std::string_view name, double least, double most) {
  const auto* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const auto number = value->get<double>();
    if (std::isfinite(number) && number >= least && number <= most) return number;
  }
  expected(name, std::format("a number from {} to {}", number_text(least), number_text(most)), *value);
  return std::nullopt;
}

std::optional<std::int64_t> JsonFields::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const auto* value = find(name);
  if (value == nullptr) return std::nullopt;
  std::optional<std::int64_t> integer;
  if (value->is_number_unsigned()) {
    if (const auto number = value->get<std::uint64_t>(); std::in_range<std::int64_t>(number)) {
      integer = static_cast<std::int64_t>(number);
    }
  } else if (value->is_number_integer()) {
    integer = value->get<std::int64_t>();
  } else if (value->is_number_float()) {
    // JavaScript has one kind of number; 2^53 is where doubles stop being exact.
    const auto number = value->get<double>();
    if (std::trunc(number) == number && std::abs(number) <= 9007199254740992.0)
      integer = static_cast<std::int64_t>(number);
  }
  if (integer && *integer >= least && *integer <= most) return integer;
  expected(name, std::format("an integer from {} to {}", least, most), *value);
  return std::nullopt;
}

std::optional<std::string> JsonFields::text(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  expected(name, "a string", *value);
  return std::nullopt;
}

const nlohmann::json* JsonFields::object(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr || value->is_object()) return value;
  expected(name, "an object", *value);
  return nullptr;
}

const nlohmann::json* JsonFields::array(std::string_view name, std::size_t items_max) {
  const auto* value = find(name);
  if (value == nullptr) return nullptr;
  if (value->is_array() && value->size() <= items_max) return value;
  expected(name, std::format("an array of at most {} items", items_max), *value);
  return nullptr;
}

}  // namespace flotilla
