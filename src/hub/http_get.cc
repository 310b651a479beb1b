#include "hub/http_get.h"

#include <curl/curl.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/words.h"
#include "hub/hub_limits.h"
#include "hub/web_address.h"

namespace flotilla {
namespace {

constexpr long receive_buffer_bytes = 256 << 10;  // fewer writes to the disk than with curl's 16 KiB
constexpr std::string_view blanks = " \t\r\n";

struct CurlOwner {
  CURL* curl = curl_easy_init();
  curl_slist* headers = nullptr;
  CurlOwner() = default;
  CurlOwner(const CurlOwner&) = delete;
  CurlOwner& operator=(const CurlOwner&) = delete;
  ~CurlOwner() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }
};

struct Exchange {
  const HttpGet& request;
  const StopFn& stop;
  HubAnswer answer;
  std::size_t header_bytes = 0;
  bool head_told = false;
  std::optional<Error> failure;  // ours, which libcurl only knows as "the callback failed"

  std::size_t refuse(Error error) {
    failure = std::move(error);
    return CURL_WRITEFUNC_ERROR;
  }
};

std::string host_of(const std::string& address) {
  const auto origin = origin_of_address(address);
  if (!origin) return "the hub";
  const auto begin = origin->find("://") + 3;
  return origin->substr(begin, origin->rfind(':') - begin);
}

std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line(bytes, size * count);
  exchange.header_bytes += line.size();
  if (exchange.header_bytes > hub_limits::header_bytes_max)
    return exchange.refuse(
        {Code::too_large, std::format("[hub] expected at most {} bytes of headers from {} but they go on; this is no "
                                      "hub, or one that means ill",
                                      hub_limits::header_bytes_max, host_of(exchange.request.address))});
  if (line.starts_with("HTTP/")) {  // a new answer: what came before was a 100 or the like
    exchange.answer.headers.clear();
    return line.size();
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  const std::string_view rest = line.substr(colon + 1);
  const auto begin = rest.find_first_not_of(blanks);
  const std::string_view value =
      begin == std::string_view::npos ? "" : rest.substr(begin, rest.find_last_not_of(blanks) - begin + 1);
  exchange.answer.headers[lower_case(line.substr(0, colon))] = value;
  return line.size();
}

Status tell_head(Exchange& exchange, CURL* curl) {
  if (exchange.head_told) return {};
  exchange.head_told = true;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchange.answer.status);
  return exchange.answer.is_success() && exchange.request.on_head ? exchange.request.on_head(exchange.answer)
                                                                  : Status{};
}

struct Sink {
  Exchange& exchange;
  CURL* curl;
};

std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* user) {
  const auto& [exchange, curl] = *static_cast<Sink*>(user);
  const std::span piece(bytes, size * count);
  if (auto told = tell_head(exchange, curl); !told) return exchange.refuse(std::move(told).error());
  const HttpGet& request = exchange.request;
  if (exchange.answer.is_success() && request.on_bytes) {
    if (auto taken = request.on_bytes(std::as_bytes(piece)); !taken) return exchange.refuse(std::move(taken).error());
    return piece.size();
  }
  const std::size_t bytes_max = exchange.answer.is_success() ? request.body_bytes_max : hub_limits::refusal_bytes_max;
  if (piece.size() > bytes_max - exchange.answer.body.size())
    return exchange.refuse(
        {Code::too_large, std::format("[hub] expected at most {} bytes in an answer of {} but it goes on", bytes_max,
                                      host_of(request.address))});
  exchange.answer.body.append(piece.data(), piece.size());
  return piece.size();
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& exchange = *static_cast<Exchange*>(user);
  return exchange.stop && exchange.stop() ? 1 : 0;
}

void prepare(CurlOwner& owner, Sink& sink) {
  CURL* curl = owner.curl;
  const HttpGet& request = sink.exchange.request;
  curl_easy_setopt(curl, CURLOPT_URL, request.address.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's words are not the hub's
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "flotilla");
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, receive_buffer_bytes);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(hub_limits::connect_time_max.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.time_max.count()));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.silence_max.count()));
  if (const char* authorities = std::getenv("SSL_CERT_FILE"); authorities && *authorities)
    curl_easy_setopt(curl, CURLOPT_CAINFO, authorities);
  // Compressed bytes would have neither the length nor the hash of the file.
  owner.headers = curl_slist_append(owner.headers, "Accept-Encoding: identity");
  if (!request.token.empty())
    owner.headers = curl_slist_append(owner.headers, ("Authorization: Bearer " + request.token).c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, owner.headers);
  if (request.end > 0)
    curl_easy_setopt(curl, CURLOPT_RANGE, std::format("{}-{}", request.offset, request.end - 1).c_str());
  else if (request.offset > 0)
    curl_easy_setopt(curl, CURLOPT_RANGE, std::format("{}-", request.offset).c_str());
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &sink.exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &sink.exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

Error error_of(CURLcode outcome, const std::string& address) {
  const std::string host = host_of(address);
  const char* words = curl_easy_strerror(outcome);
  switch (outcome) {
    case CURLE_ABORTED_BY_CALLBACK:
      return {Code::cancelled, "[hub] stopped"};
    case CURLE_OPERATION_TIMEDOUT:
      return {Code::timeout, std::format("[hub] {} fell silent", host)};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {Code::unauthorized,
              std::format("[hub] expected {} to prove its name but it could not ({}); is the clock right, and where a "
                          "proxy reads along, does SSL_CERT_FILE name its authority?",
                          host, words)};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return {Code::closed,
              std::format("[hub] {} cannot be reached ({}); is this machine connected, or is a proxy to be set "
                          "(HTTPS_PROXY)?",
                          host, words)};
    default:
      return {Code::closed, std::format("[hub] the connection with {} broke off ({})", host, words)};
  }
}

}  // namespace

std::string HubAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

bool HubAnswer::is_redirect() const {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Result<HubAnswer> http_get(const HttpGet& request, const StopFn& stop) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)once;
  CurlOwner owner;
  if (!owner.curl) return fail(Code::internal, "[hub] expected libcurl to start but it did not");
  Exchange exchange{.request = request, .stop = stop, .answer = {}, .failure = {}};
  Sink sink{.exchange = exchange, .curl = owner.curl};
  prepare(owner, sink);
  const CURLcode outcome = curl_easy_perform(owner.curl);
  if (exchange.failure) return fail(*std::move(exchange.failure));
  if (outcome != CURLE_OK) return fail(error_of(outcome, request.address));
  FLOTILLA_TRY_STATUS(tell_head(exchange, owner.curl));  // where the body was empty
  return std::move(exchange.answer);
}

}  // namespace flotilla
