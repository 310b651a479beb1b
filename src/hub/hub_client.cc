#include "hub/hub_client.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "base/words.h"
#include "hub/hub_limits.h"
#include "hub/model_reference.h"
#include "hub/web_address.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int json_depth_max = 8;  // a listing needs 3; what lies deeper is passed over
constexpr auto stop_poll_interval = 100ms;
constexpr auto rate_limit_wait_default = 60s;  // where the hub does not say
constexpr long range_not_satisfiable = 416;

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
Result<std::optional<RemoteFile>> read_item(const json& item, const std::string& repository) {
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
  if (!sha256.empty() && (!is_hex(sha256, 64) || count_of(*lfs, "size").value_or(*bytes) != *bytes))
    return fail(Code::corrupt, "[hub] expected the SHA-256 and the size of '{}' in {} but they contradict themselves",
                excerpt(path), repository);
  return RemoteFile{.path = path, .bytes = *bytes, .sha256 = sha256};
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

bool is_loopback(const std::string& origin) {
  const std::string host = origin.substr(origin.find("://") + 3);
  return host.starts_with("localhost:") || host.starts_with("127.") || host.starts_with("[::1]:");
}

std::string path_for_address(const std::string& path) {
  std::string escaped, piece;
  for (const char c : path + '/') {
    if (c != '/') {
      piece += c;
      continue;
    }
    escaped += "/" + escaped_for_address(std::exchange(piece, {}));
  }
  return escaped;
}

std::unexpected<Error> wrong_length(const FilePlace& place, const std::string& got) {
  return fail(Code::corrupt,
              "[hub] expected {} bytes of '{}' but the hub has {}; it contradicts its own listing, or a page to log in "
              "stands between (open {} in a browser)",
              place.file.bytes, excerpt(place.file.path), got, place.repository);
}

// Whether what begins here are the bytes that were asked for. A hub that knows no ranges begins at the first byte.
Status check_head(const HubAnswer& answer, const FilePlace& place, ByteSink& sink) {
  const std::uint64_t offset = sink.offset();
  if (answer.status == 206) {
    const std::string range = answer.header("content-range");
    const std::string expected = std::format("bytes {}-{}/{}", offset, place.file.bytes - 1, place.file.bytes);
    return range == expected ? Status{} : wrong_length(place, std::format("'{}'", excerpt(range)));
  }
  if (answer.status != 200) return wrong_length(place, std::format("HTTP {}", answer.status));
  const std::string length = answer.header("content-length");
  if (!length.empty() && number_in(length) != place.file.bytes) return wrong_length(place, excerpt(length));
  return offset > 0 ? sink.restart() : Status{};
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
  return fail(Code::corrupt, "[hub] expected {} bytes of '{}' but the hub sends {}; nothing of it was kept", end - begin,
              excerpt(place.file.path), excerpt(length));
}

// What a hub says of a large file beside the address of its bytes.
Status check_redirect(const HubAnswer& answer, const FilePlace& place) {
  const std::string size = answer.header("x-linked-size"), commit = answer.header("x-repo-commit");
  if (!size.empty() && number_in(size) != place.file.bytes) return wrong_length(place, excerpt(size));
  std::string tag = answer.header("x-linked-etag");
  if (tag.starts_with("W/")) tag.erase(0, 2);
  std::erase(tag, '"');
  const bool other_file = is_hex(tag, 64) && tag != place.file.sha256;
  if (!other_file && (commit.empty() || commit == place.commit)) return {};
  return fail(Code::corrupt, "[hub] expected '{}' at commit {} but the hub offers another file; pull again",
              excerpt(place.file.path), place.commit.substr(0, 12));
}

}  // namespace

struct HubClient::Page {
  json items;
  std::string next;  // empty: that was the last
};

Result<std::string> HubClient::commit_of(const std::string& repository, const std::string& revision) {
  const std::string address = std::format("{}/api/models/{}/revision/{}", settings_.endpoint, repository, revision);
  FLOTILLA_TRY(const HubAnswer answer, get_json(address, repository));
  FLOTILLA_TRY(const json model, parse_json(answer.body, address));
  const std::string commit = model.is_object() ? text_of(model, "sha") : "";
  if (is_hex(commit, 40)) return commit;
  return fail(Code::corrupt, "[hub] expected the commit of {} from {} but got '{}'; is HF_ENDPOINT a hub?", repository,
              settings_.endpoint, excerpt(commit));
}

Result<std::vector<RemoteFile>> HubClient::list(const std::string& repository, const std::string& commit) {
  std::vector<RemoteFile> files;
  std::set<std::string> paths;
  std::size_t items = 0;
  std::string address = std::format("{}/api/models/{}/tree/{}?recursive=true", settings_.endpoint, repository, commit);
  for (std::size_t pages = 0; !address.empty(); ++pages) {
    FLOTILLA_TRY(const Page page, this->page(address, repository));
    items += page.items.size();
    if (pages >= hub_limits::pages_max || items > hub_limits::files_max)
      return fail(Code::too_large, "[hub] expected at most {} files in {} but the list goes on", hub_limits::files_max,
                  repository);
    for (const json& item : page.items) {
      FLOTILLA_TRY(auto file, read_item(item, repository));
      if (file && paths.insert(file->path).second) files.push_back(*std::move(file));
    }
    address = page.next;
  }
  return files;
}

Result<HubClient::Page> HubClient::page(const std::string& address, const std::string& repository) {
  FLOTILLA_TRY(const HubAnswer answer, get_json(address, repository));
  Page page;
  FLOTILLA_TRY(page.items, parse_json(answer.body, address));
  if (!page.items.is_array())
    return fail(Code::corrupt, "[hub] expected a list of the files in {} from {} but got something else", repository,
                settings_.endpoint);
  if (const std::string next = next_page(answer.header("link")); !next.empty()) {
    FLOTILLA_TRY(page.next, address_from(address, next));
  }
  return page;
}

Result<HubAnswer> HubClient::get_json(const std::string& address, const std::string& repository) {
  HubAnswer taken;
  const auto attempt = [&]() -> Status {
    FLOTILLA_TRY(taken, follow({.address = address,
                                .body_bytes_max = hub_limits::answer_bytes_max,
                                .time_max = hub_limits::answer_time_max},
                               repository, {}));
    return {};
  };
  FLOTILLA_TRY_STATUS(persist(attempt, [] { return std::uint64_t{0}; }));
  return taken;
}

Status HubClient::fetch(const FilePlace& place, ByteSink& sink) {
  return persist([&] { return fetch_once(place, sink, 0); }, [&] { return sink.offset(); });
}

Status HubClient::fetch_range(const FilePlace& place, std::uint64_t end, ByteSink& sink) {
  return persist([&] { return fetch_once(place, sink, end); }, [&] { return sink.offset(); });
}

Result<std::vector<std::string>> HubClient::search(const std::string& text, std::size_t count_max) {
  const std::string address = std::format("{}/api/models?search={}&filter=gguf&limit={}", settings_.endpoint,
                                          escaped_for_address(text), count_max);
  FLOTILLA_TRY(const HubAnswer answer, get_json(address, "the search"));
  FLOTILLA_TRY(const json found, parse_json(answer.body, address));
  if (!found.is_array())
    return fail(Code::corrupt, "[hub] expected a list of repositories from {} but got something else", settings_.endpoint);
  std::vector<std::string> repositories;
  for (const json& item : found) {
    const std::string name = item.is_object() ? text_of(item, "id") : "";
    if (is_repository(name) && repositories.size() < count_max) repositories.push_back(name);
  }
  return repositories;
}

// Each attempt asks the hub anew: the address of the bytes may have run out meanwhile. `end`: 0 where all of the file is
// wanted.
Status HubClient::fetch_once(const FilePlace& place, ByteSink& sink, std::uint64_t end) {
  const std::uint64_t last = end > 0 ? end : place.file.bytes;
  HttpGet request{.address = std::format("{}/{}/resolve/{}{}", settings_.endpoint, place.repository, place.commit,
                                         path_for_address(place.file.path)),
                  .offset = sink.offset(),
                  .end = end};
  request.on_head = [&](const HubAnswer& answer) {
    return end > 0 ? check_range_head(answer, place, sink.offset(), end) : check_head(answer, place, sink);
  };
  request.on_bytes = [&](std::span<const std::byte> bytes) -> Status {
    if (bytes.size() > last - sink.offset()) return wrong_length(place, "more");
    return sink.add(bytes);
  };
  FLOTILLA_TRY(const HubAnswer answer, follow(std::move(request), place.repository, [&](const HubAnswer& redirect) {
                 return check_redirect(redirect, place);
               }));
  if (answer.status == range_not_satisfiable) {
    if (end > 0) return wrong_length(place, "fewer");
    FLOTILLA_TRY_STATUS(sink.restart());
    return fail(Code::closed, "[hub] the hub would not go on where an earlier download ended");
  }
  if (sink.offset() == last) return {};
  return fail(Code::closed, "[hub] expected {} bytes of '{}' but they ended after {}", last,
              excerpt(place.file.path), sink.offset());
}

Result<HubAnswer> HubClient::follow(HttpGet request, const std::string& repository,
                                     const std::function<Status(const HubAnswer&)>& on_redirect) {
  FLOTILLA_TRY(const std::string endpoint, origin_of_address(settings_.endpoint));
  request.silence_max = settings_.silence_max;
  for (int hop = 0; hop <= hub_limits::redirects_max; ++hop) {
    FLOTILLA_TRY(const std::string origin, origin_of_address(request.address));
    request.token = token_for(origin);
    FLOTILLA_TRY(HubAnswer answer, http_get(request, watch_.stop));
    if (answer.is_success() || answer.status == range_not_satisfiable) return answer;
    if (!answer.is_redirect()) return fail(refusal(answer, repository, origin == endpoint));
    if (on_redirect) FLOTILLA_TRY_STATUS(on_redirect(answer));
    FLOTILLA_TRY(request.address, address_from(request.address, answer.header("location")));
    FLOTILLA_TRY(const std::string next, origin_of_address(request.address));
    if (origin.starts_with("https:") && !next.starts_with("https:"))
      return fail(Code::unauthorized,
                  "[hub] expected {} to lead to an encrypted address but got '{}'; nothing was asked", origin,
                  excerpt(request.address));
  }
  return fail(Code::corrupt,
              "[hub] expected the bytes after at most {} redirects but they go on; is HF_ENDPOINT a hub?",
              hub_limits::redirects_max);
}

// Nor in the clear over a network.
std::string HubClient::token_for(const std::string& origin) const {
  const auto endpoint = origin_of_address(settings_.endpoint);
  const bool safe = origin.starts_with("https:") || is_loopback(origin);
  return endpoint && origin == *endpoint && safe ? settings_.token : "";
}

Status HubClient::persist(const std::function<Status()>& attempt, const std::function<std::uint64_t()>& reached) {
  unsigned failures = 0;
  std::uint64_t best = reached();
  auto pause = std::chrono::milliseconds(hub_limits::back_off_first);
  for (;;) {
    auto done = attempt();
    if (done) return done;
    Error error = std::move(done).error();
    if (error.code == Code::busy && rate_limit_wait_ <= hub_limits::rate_limit_wait_max &&
        rate_limit_waits_ < hub_limits::rate_limit_waits_max) {
      ++rate_limit_waits_;
      watch_.note(std::format("the hub asks to wait {} s", rate_limit_wait_.count()));
      FLOTILLA_TRY_STATUS(wait(rate_limit_wait_));
      continue;
    }
    if (error.code != Code::closed && error.code != Code::timeout) return fail(std::move(error));
    if (reached() > best) {
      best = reached();
      failures = 0;
      pause = hub_limits::back_off_first;
    }
    if (++failures >= tries_) {
      error.message += std::format("; tried {} times. What is here stays: the same command goes on", failures);
      return fail(std::move(error));
    }
    watch_.note(std::format("{}; trying again in {:.0f} s", without_room(error.message),
                            std::chrono::duration<double>(pause).count()));
    FLOTILLA_TRY_STATUS(wait(pause));
    pause = std::min<std::chrono::milliseconds>(pause * 2, hub_limits::back_off_max);
  }
}

Status HubClient::wait(std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < deadline) {
    if (watch_.stopped()) return fail(Code::cancelled, "[hub] stopped");
    std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(stop_poll_interval, time));
  }
  return {};
}

// What an answer means to whoever waits for the model, and what to do.
Error HubClient::refusal(const HubAnswer& answer, const std::string& repository, bool by_endpoint) {
  const std::string& hub = settings_.endpoint;
  const std::string said = excerpt(answer.header("x-error-message"), 200);
  const std::string words = said.empty() ? "" : std::format(" (it says: {})", said);
  const bool can_be_tried_again = answer.status >= 500 || answer.status == 408;
  if (answer.status == 429) {
    rate_limit_wait_ = wait_asked_for(answer);
    return {Code::busy,
            std::format("[hub] {} has been asked too often; pull again in {} s{}", hub, rate_limit_wait_.count(),
                        settings_.token.empty() ? ", or set HF_TOKEN: who has an account may ask more" : "")};
  }
  if (!by_endpoint || can_be_tried_again)
    return {Code::closed,
            std::format("[hub] {} (HTTP {})",
                        by_endpoint ? "the hub has trouble" : "the address of the bytes is not good any more",
                        answer.status)};
  switch (answer.status) {
    case 401:
      if (!settings_.token.empty())
        return {Code::unauthorized, std::format("[hub] {} does not accept the token in {} for {}{}; make another at "
                                                "{}/settings/tokens",
                                                hub, settings_.token_from, repository, words, hub)};
      return {
          Code::unauthorized,
          std::format("[hub] {} is not at {}, or not for everybody{}; look for its name there, and where it is private "
                      "make a token at {}/settings/tokens and set HF_TOKEN",
                      repository, hub, words, hub)};
    case 403:
      return {
          Code::permission,
          std::format("[hub] {} is for those who accept its conditions{}; accept them at {}/{} in a browser{}, and "
                      "pull again",
                      repository, words, hub, repository,
                      settings_.token.empty() ? std::format(", make a token at {}/settings/tokens, set HF_TOKEN", hub)
                                              : ", with the account of your token")};
    case 404:
      return {Code::not_found,
              std::format("[hub] {} has no {} or not this revision of it{}; look for its name there, capitals count",
                          hub, repository, words)};
    default:
      return {Code::unsupported, std::format("[hub] expected {} to answer like a hub but got HTTP {}{}; is HF_ENDPOINT "
                                             "right?",
                                             hub, answer.status, words)};
  }
}

}  // namespace flotilla
