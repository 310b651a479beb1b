#include "hub/hub_answers.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "hub/hub_limits.h"
#include "hub/model_reference.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int json_depth_max = 8;              // a listing needs 3; what lies deeper is passed over
constexpr auto rate_limit_wait_default = 60s;  // where the hub does not say

Result<json> parse_json(const std::string& body, const std::string& address) {
  const auto shallow = [](int depth, json::parse_event_t, json&) { return depth <= json_depth_max; };
  json value = json::parse(body, shallow, false);
  if (!value.is_discarded()) return value;
  return fail(Code::corrupt, "[hub] expected JSON from {} but got something else; is HF_ENDPOINT a hub?",
              excerpt(address));
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<std::uint64_t> count_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end != text.data() ? std::optional(number) : std::nullopt;
}

// One GGUF file of a listing; nothing where the item is something else.
Result<std::optional<HubFile>> read_item(const json& item, const std::string& repository) {
  const std::string path = item.is_object() ? text_of(item, "path") : "";
  if (!path.ends_with(".gguf") || text_of(item, "type") != "file") return std::nullopt;
  if (!is_inner_path(path))
    return fail(Code::corrupt, "[hub] expected names of files within {} but got the path '{}'; nothing was written",
                repository, excerpt(path));
  const auto bytes = count_of(item, "size");
  const auto lfs = item.find("lfs");
  const std::string sha256 = lfs != item.end() && lfs->is_object() ? text_of(*lfs, "oid") : "";
  if (!bytes || *bytes == 0 || *bytes > hub_limits::file_bytes_max)
    return fail(Code::corrupt, "[hub] expected the size of '{}' in {} but got none that a file can have", excerpt(path),
                repository);
  if (!sha256.empty() && (!is_hex(sha256, sha256_digits) || count_of(*lfs, "size").value_or(*bytes) != *bytes))
    return fail(Code::corrupt, "[hub] expected the SHA-256 and the size of '{}' in {} but they contradict themselves",
                excerpt(path), repository);
  return HubFile{.path = path, .bytes = *bytes, .sha256 = sha256};
}

}  // namespace

Result<std::string> read_commit(const std::string& body, const std::string& repository, const std::string& address) {
  FLOTILLA_TRY(const json model, parse_json(body, address));
  std::string commit = model.is_object() ? text_of(model, "sha") : "";
  if (is_hex(commit, commit_digits)) return commit;
  return fail(Code::corrupt, "[hub] expected the commit of {} from {} but got '{}'; is HF_ENDPOINT a hub?", repository,
              excerpt(address), excerpt(commit));
}

Result<ListingPage> read_listing_page(const std::string& body, const std::string& repository,
                                      const std::string& address) {
  FLOTILLA_TRY(const json items, parse_json(body, address));
  if (!items.is_array())
    return fail(Code::corrupt, "[hub] expected a list of the files in {} from {} but got something else", repository,
                excerpt(address));
  ListingPage page{.items = items.size(), .files = {}};
  for (const json& item : items) {
    FLOTILLA_TRY(auto file, read_item(item, repository));
    if (file) page.files.push_back(*std::move(file));
  }
  return page;
}

Result<std::vector<std::string>> read_search(const std::string& body, std::size_t count_max,
                                             const std::string& address) {
  FLOTILLA_TRY(const json found, parse_json(body, address));
  if (!found.is_array())
    return fail(Code::corrupt, "[hub] expected a list of repositories from {} but got something else",
                excerpt(address));
  std::vector<std::string> repositories;
  for (const json& item : found) {
    const std::string name = item.is_object() ? text_of(item, "id") : "";
    if (is_repository(name) && repositories.size() < count_max) repositories.push_back(name);
  }
  return repositories;
}

// Of a header such as: <https://…?cursor=x>; rel="next"
std::string next_page(const std::string& link) {
  const auto next = link.find("rel=\"next\"");
  if (next == std::string::npos) return "";
  const auto end = link.rfind('>', next);
  const auto begin = end == std::string::npos ? end : link.rfind('<', end);
  return begin == std::string::npos ? "" : link.substr(begin + 1, end - begin - 1);
}

// Of a header such as: "api";r=0;t=52   (or Retry-After: 52)
std::chrono::seconds wait_asked_for(const HubAnswer& answer) {
  const std::string limit = answer.header("ratelimit");
  const auto at = limit.find(";t=");
  const auto seconds =
      at != std::string::npos ? number_in(limit.substr(at + 3)) : number_in(answer.header("retry-after"));
  if (!seconds) return rate_limit_wait_default;
  return std::chrono::seconds(std::min<std::uint64_t>(*seconds, 1'000'000));
}

std::unexpected<Error> wrong_length(const FilePlace& place, const std::string& got) {
  return fail(Code::corrupt,
              "[hub] expected {} bytes of '{}' but the hub has {}; it contradicts its own listing, or a page to log in "
              "stands between (open {} in a browser)",
              place.file.bytes, excerpt(place.file.path), got, place.repository);
}

// Whether what begins here are the bytes that were asked for. A hub that knows no ranges begins at the first byte.
Status check_head(const HubAnswer& answer, const FilePlace& place, std::uint64_t offset) {
  if (answer.status == 206) {
    const std::string range = answer.header("content-range");
    const std::string expected = std::format("bytes {}-{}/{}", offset, place.file.bytes - 1, place.file.bytes);
    return range == expected ? Status{} : wrong_length(place, std::format("'{}'", excerpt(range)));
  }
  if (answer.status != 200) return wrong_length(place, std::format("HTTP {}", answer.status));
  const std::string length = answer.header("content-length");
  if (!length.empty() && number_in(length) != place.file.bytes) return wrong_length(place, excerpt(length));
  return {};
}

// The same where a part is wanted: nothing but that part will do.
Status check_range_head(const HubAnswer& answer, const FilePlace& place, std::uint64_t begin, std::uint64_t end) {
  if (answer.status == 200)
    return fail(Code::unsupported,
                "[hub] expected a part of '{}' but the hub would send all of it: it, or a proxy on the way, knows no "
                "ranges. On one machine all of it can be had: flotilla pull {}:{}",
                excerpt(place.file.path), place.repository, excerpt(place.file.path));
  if (answer.status != 206) return wrong_length(place, std::format("HTTP {}", answer.status));
  const std::string range = answer.header("content-range"), length = answer.header("content-length");
  const std::string expected = std::format("bytes {}-{}/{}", begin, end - 1, place.file.bytes);
  if (range != expected)
    return fail(Code::corrupt, "[hub] expected '{}' of '{}' but the hub sends '{}'; nothing of it was kept", expected,
                excerpt(place.file.path), excerpt(range));
  if (length.empty() || number_in(length) == end - begin) return {};
  return fail(Code::corrupt, "[hub] expected {} bytes of '{}' but the hub sends {}; nothing of it was kept",
              end - begin, excerpt(place.file.path), excerpt(length));
}

// What a hub says of a large file beside the address of its bytes.
Status check_redirect(const HubAnswer& answer, const FilePlace& place) {
  const std::string size = answer.header("x-linked-size"), commit = answer.header("x-repo-commit");
  if (!size.empty() && number_in(size) != place.file.bytes) return wrong_length(place, excerpt(size));
  std::string tag = answer.header("x-linked-etag");
  if (tag.starts_with("W/")) tag.erase(0, 2);
  std::erase(tag, '"');
  const bool other_file = is_hex(tag, sha256_digits) && tag != place.file.sha256;
  if (!other_file && (commit.empty() || commit == place.commit)) return {};
  return fail(Code::corrupt, "[hub] expected '{}' at commit {} but the hub offers another file; pull again",
              excerpt(place.file.path), place.commit.substr(0, 12));
}

}  // namespace flotilla
