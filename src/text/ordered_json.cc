#include "text/ordered_json.h"

#include <nlohmann/json.hpp>

#include "text/json_extent.h"

namespace flotilla {
namespace {

constexpr std::size_t ordered_bytes_max = 8u << 10;
constexpr std::string_view white_space = " \t\r\n";

}  // namespace

nlohmann::ordered_json parse_ordered(std::string_view text) {
  using Json = nlohmann::ordered_json;
  const auto begin = text.find_first_not_of(white_space);
  if (begin == std::string_view::npos) return Json(Json::value_t::discarded);
  text = text.substr(begin, text.find_last_not_of(white_space) + 1 - begin);
  JsonExtent extent;
  const bool is_whole = (text.starts_with('{') || text.starts_with('[')) &&
                        extent.read(text) == JsonExtent::Found::end && extent.bytes() == text.size();
  if (!is_whole) return Json(Json::value_t::discarded);
  if (text.size() <= ordered_bytes_max) return Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto sorted = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  return sorted.is_discarded() ? Json(Json::value_t::discarded) : Json(sorted);
}

}  // namespace flotilla
