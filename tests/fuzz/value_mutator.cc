// How libFuzzer changes inputs that are a value, JSON or CBOR: mostly by changing the value, so that what comes out is
// still read, and now and then by changing the bytes. FUZZ_PREFIX_BYTES in front of the value are left to the latter.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace flotilla::fuzz {
namespace {

using Json = nlohmann::json;
constexpr std::size_t depth_max = 20, text_bytes_max = 512, copies_max = 300;

// The library reads by recursion; the code under test has limits of its own, this has one too.
[[maybe_unused]] bool is_shallow(std::string_view json) {
  std::size_t depth = 0;
  for (const char c : json) {
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > depth_max) return false;
  }
  return true;
}

#ifdef FUZZ_CBOR
Json read(std::span<const std::uint8_t> bytes) {
  // The depth of CBOR shows only while it is read: an input that nests its lists is nearly all heads of lists.
  const auto heads = std::ranges::count_if(bytes, [](std::uint8_t byte) { return byte >> 5 == 4 || byte >> 5 == 5; });
  if (heads > 4000) return Json(Json::value_t::discarded);
  try {
    return Json::from_cbor(bytes.begin(), bytes.end(), true, false);
  } catch (const std::exception&) {  // a list longer than memory
    return Json(Json::value_t::discarded);
  }
}
std::vector<std::uint8_t> write(const Json& json) { return Json::to_cbor(json); }
#else
Json read(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!is_shallow(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}
std::vector<std::uint8_t> write(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return {text.begin(), text.end()};
}
#endif

class Mutation {
 public:
  explicit Mutation(unsigned seed) : random_(seed) {}

  void change(Json& root) {
    for (std::size_t times = 1 + below(3); times > 0; --times) {
      collect(root);
      change_place(*places_[below(places_.size())]);
    }
  }

 private:
  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }
  bool coin() { return below(2) == 0; }

  void collect(Json& root) {
    places_.assign(1, &root);
    for (std::size_t i = 0; i < places_.size(); ++i)
      if (places_[i]->is_structured())
        for (Json& each : *places_[i]) places_.push_back(&each);
  }

  Json any_value() {
    switch (below(14)) {
      case 0:
        return nullptr;
      case 1:
        return coin();
      case 2:
        return below(4);
      case 3:
        return std::uint64_t{1} << below(64);
      case 4:
        return (std::uint64_t{1} << below(64)) - 1;
      case 5:
        return -static_cast<std::int64_t>(std::uint64_t{1} << below(63));
      case 6:
        return std::array{0.5, 1e308, -1e308, 5e-324, 1e39, -0.0, 2.0, 9007199254740993.0}[below(8)];
      case 7:
        return std::string(below(20), 'a');
      case 8:
        return std::string(std::size_t{1} << below(coin() ? 9 : 13), 'x');
      case 9:
        return Json::array();
      case 10:
        return Json::object();
#ifdef FUZZ_CBOR
      case 11:
        return std::array{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}[below(2)];
      case 12:
        return Json::binary(std::vector<std::uint8_t>(std::array{0, 3, 8, 16, 32, 33, 48}[below(7)], 7));
#endif
      default:
        return *places_[below(places_.size())];  // as another place has it
    }
  }

  void change_place(Json& place) {
    if (place.is_structured() && below(4) > 0) return place.is_array() ? change_list(place) : change_map(place);
    if (place.is_string() && below(4) > 0) return change_text(place.get_ref<std::string&>());
#ifdef FUZZ_CBOR
    if (place.is_binary() && below(4) > 0)
      return change_text(static_cast<std::vector<std::uint8_t>&>(place.get_binary()));
#endif
    if (place.is_number_unsigned() && coin()) {
      place = coin() ? place.get<std::uint64_t>() ^ (std::uint64_t{1} << below(64))
                     : place.get<std::uint64_t>() + below(3) - 1;
      return;
    }
    Json value = any_value();
    place = std::move(value);
  }

  template <class Text>
  void change_text(Text& text) {
    const std::size_t size = std::min(text.size(), text_bytes_max);
    text.resize(text_bytes_max);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text_bytes_max));
  }

  void change_list(Json& list) {
    const std::size_t place = below(list.size());
    if (list.empty() || below(4) == 0) return list.push_back(any_value());
    if (below(3) == 0) return list.erase(place);
    if (below(8) == 0) {
      const Json copy = list[place];
      for (std::size_t i = below(copies_max); i > 0; --i) list.push_back(copy);
    } else if (coin()) {
      std::swap(list[place], list[below(list.size())]);
    } else {
      Json value = any_value();
      list[place] = std::move(value);
    }
  }

  void change_map(Json& map) {
    if (map.empty()) return;
    auto entry = map.begin();
    std::advance(entry, below(map.size()));
    const std::string key = entry.key();
    switch (below(4)) {
      case 0:
        map.erase(key);
        break;
      case 1: {  // under another map's name
        const Json& other = *places_[below(places_.size())];
        Json value = any_value();
        if (other.is_object() && !other.empty()) map[other.begin().key()] = std::move(value);
        break;
      }
      case 2: {
        std::string name = key;
        change_text(name);
        Json value = *entry;
        map[name] = std::move(value);
        break;
      }
      default: {
        Json value = any_value();
        map[key] = std::move(value);
      }
    }
  }

  std::minstd_rand random_;
  std::vector<Json*> places_;
};

}  // namespace
}  // namespace flotilla::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned int seed) {
  using namespace flotilla::fuzz;
  constexpr std::size_t prefix = FUZZ_PREFIX_BYTES;
  if (seed % 5 == 0 || size <= prefix) return LLVMFuzzerMutate(data, size, size_max);
  Json value = read({data + prefix, size - prefix});
  if (value.is_discarded()) return LLVMFuzzerMutate(data, size, size_max);
  Mutation(seed).change(value);
  const auto bytes = write(value);
  if (prefix + bytes.size() > size_max) return LLVMFuzzerMutate(data, size, size_max);
  std::ranges::copy(bytes, data + prefix);
  return prefix + bytes.size();
}
