#include "hub/hub_client.h"

#include <algorithm>
#include <set>
#include <thread>

#include "base/words.h"
#include "hub/hub_answers.h"
#include "hub/hub_limits.h"
#include "hub/web_address.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto stop_poll_interval = 100ms;
constexpr long range_not_satisfiable = 416;

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

}  // namespace

Result<std::string> HubClient::commit_of(const std::string& repository, const std::string& revision) {
  const std::string address = std::format("{}/api/models/{}/revision/{}", settings_.endpoint, repository, revision);
  FLOTILLA_TRY(const HubAnswer answer, get_json(address, repository));
  return read_commit(answer.body, repository, address);
}

Result<std::vector<HubFile>> HubClient::list(const std::string& repository, const std::string& commit) {
  std::vector<HubFile> files;
  std::set<std::string> paths;
  std::size_t items = 0;
  std::string address = std::format("{}/api/models/{}/tree/{}?recursive=true", settings_.endpoint, repository, commit);
  for (std::size_t pages = 0; !address.empty(); ++pages) {
    FLOTILLA_TRY(const HubAnswer answer, get_json(address, repository));
    FLOTILLA_TRY(ListingPage page, read_listing_page(answer.body, repository, address));
    items += page.items;
    if (pages >= hub_limits::pages_max || items > hub_limits::files_max)
      return fail(Code::too_large, "[hub] expected at most {} files in {} but the list goes on", hub_limits::files_max,
                  repository);
    for (HubFile& file : page.files)
      if (paths.insert(file.path).second) files.push_back(std::move(file));
    const std::string next = next_page(answer.header("link"));
    if (next.empty()) break;
    FLOTILLA_TRY(address, address_from(address, next));
  }
  return files;
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
  return read_search(answer.body, count_max, address);
}

// Each attempt asks the hub anew: the address of the bytes may have run out meanwhile. `end`: 0 where all of the file
// is wanted.
Status HubClient::fetch_once(const FilePlace& place, ByteSink& sink, std::uint64_t end) {
  const std::uint64_t last = end > 0 ? end : place.file.bytes;
  if (sink.offset() == last) return {};  // the connection broke behind the last byte
  HttpGet request{.address = std::format("{}/{}/resolve/{}{}", settings_.endpoint, place.repository, place.commit,
                                         path_for_address(place.file.path)),
                  .offset = sink.offset(),
                  .end = end};
  request.on_head = [&](const HubAnswer& answer) -> Status {
    if (end > 0) return check_range_head(answer, place, sink.offset(), end);
    FLOTILLA_TRY_STATUS(check_head(answer, place, sink.offset()));
    return answer.status == 200 && sink.offset() > 0 ? sink.restart() : Status{};
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
  return fail(Code::closed, "[hub] expected {} bytes of '{}' but they ended after {}", last, excerpt(place.file.path),
              sink.offset());
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
