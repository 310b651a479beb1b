#include "app/api_client.h"

#include <curl/curl.h>

#include <memory>
#include <optional>

namespace flotilla {
namespace {

using nlohmann::json;

struct Transfer {
  const ApiClient::OnLine* on_line = nullptr;
  std::string body, line;
  bool hung_up = false;
};

// Splits what arrives into lines where they are wanted; an error body comes as one piece and is kept whole.
std::size_t on_bytes(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view piece(bytes, size * count);
  transfer.body.append(transfer.on_line ? std::string_view() : piece);
  if (!transfer.on_line) return piece.size();
  for (const char c : piece) {
    transfer.line += c;
    if (c != '\n') continue;
    transfer.line.pop_back();
    if (!transfer.line.empty() && transfer.line.back() == '\r') transfer.line.pop_back();
    if (!(*transfer.on_line)(std::exchange(transfer.line, {}))) {
      transfer.hung_up = true;
      return CURL_WRITEFUNC_ERROR;
    }
  }
  return piece.size();
}

std::string origin_of(const std::string& url) { return url.substr(0, url.find('/', url.find("://") + 3)); }

Error no_flotilla(const std::string& url, const std::string& answer) {
  return {Code::unavailable,
          std::format("[app] {} is not a Flotilla node (it answered {}); start one with `flotilla serve`, or name "
                      "another with --api URL",
                      origin_of(url), answer)};
}

Error error_from_body(const std::string& url, std::string_view body, long http_code) {
  const json parsed = json::parse(body, nullptr, false);
  if (parsed.is_object() && parsed.contains("error") && parsed["error"].is_object()) {
    const json& error = parsed["error"];
    const std::string code = error.value("code", json()).is_string() ? error["code"].get<std::string>() : "";
    const std::string message =
        error.value("message", json()).is_string() ? error["message"].get<std::string>() : std::string(body);
    const Code known = code_from_string(code);
    return {known == Code::internal && http_code == 403 ? Code::permission : known, message};  // a key's scope
  }
  return no_flotilla(url, std::format("HTTP {}", http_code));  // a node's errors are objects
}

bool names_localhost(const std::string& url) {
  const std::string origin = origin_of(url);
  return origin == "http://localhost" || origin.starts_with("http://localhost:");
}

struct CurlHandle {
  CURL* curl = curl_easy_init();
  curl_slist* headers = nullptr;
  ~CurlHandle() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }
};

constexpr long connect_timeout_ms = 3000;

struct Request {
  std::string url;
  const std::string& key;
  std::optional<std::string> post_body;  // absent: GET
  std::chrono::milliseconds patience;
};

// Answers the body, which is empty where on_line took it.
Result<std::string> transfer(const Request& request, const ApiClient::OnLine* on_line) {
  const auto& [url, key, post_body, patience] = request;
  CurlHandle handle;
  Transfer state{.on_line = on_line};
  curl_easy_setopt(handle.curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle.curl, CURLOPT_NOSIGNAL, 1L);
  // Not ::1 first, where a node does not listen unless it was told to and another user's program may: it would be sent
  // the key.
  if (names_localhost(url)) curl_easy_setopt(handle.curl, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4);
  curl_easy_setopt(handle.curl, CURLOPT_PROXY, "");  // a node is local; an http_proxy is meant for the internet
  curl_easy_setopt(handle.curl, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
  curl_easy_setopt(handle.curl, CURLOPT_TIMEOUT_MS, static_cast<long>(patience.count()));
  curl_easy_setopt(handle.curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(handle.curl, CURLOPT_WRITEDATA, &state);
  if (post_body) {
    handle.headers = curl_slist_append(handle.headers, "Content-Type: application/json");
    curl_easy_setopt(handle.curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(post_body->size()));
    curl_easy_setopt(handle.curl, CURLOPT_POSTFIELDS, post_body->c_str());
  }
  if (!key.empty()) handle.headers = curl_slist_append(handle.headers, ("Authorization: Bearer " + key).c_str());
  curl_easy_setopt(handle.curl, CURLOPT_HTTPHEADER, handle.headers);
  const CURLcode outcome = curl_easy_perform(handle.curl);
  if (state.hung_up) return std::string();
  if (outcome == CURLE_COULDNT_CONNECT || outcome == CURLE_COULDNT_RESOLVE_HOST)
    return fail(Code::unavailable,
                "[app] no node answers at {}; start one with `flotilla serve`, or name another with --api URL",
                origin_of(url));
  if (outcome != CURLE_OK)
    return fail(Code::unavailable, "[app] the connection to the node broke off ({})", curl_easy_strerror(outcome));
  long http_code = 0;
  curl_easy_getinfo(handle.curl, CURLINFO_RESPONSE_CODE, &http_code);
  if (http_code >= 400) return fail(error_from_body(url, on_line ? state.line : state.body, http_code));
  return std::move(state.body);
}

// Text that is no UTF-8 has no form in JSON.
Result<std::string> serialized(const json& body) {
  try {
    return body.dump();
  } catch (const json::type_error&) {
    return fail(Code::invalid_argument, "[app] expected UTF-8 but got text with other bytes; convert it with iconv");
  }
}

Result<json> parsed(const std::string& url, Result<std::string> body) {
  if (!body) return fail(std::move(body).error());
  json value = json::parse(*body, nullptr, false);
  if (!value.is_object()) return fail(no_flotilla(url, std::format("{} bytes that are no JSON object", body->size())));
  return value;
}

}  // namespace

ApiClient::ApiClient(std::string base_url, std::string key) : base_url_(std::move(base_url)), key_(std::move(key)) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)once;
  if (!base_url_.contains("://")) base_url_ = "http://" + base_url_;
  while (base_url_.ends_with('/')) base_url_.pop_back();
}

Result<json> ApiClient::get(std::string_view path) {
  const std::string url = base_url_ + std::string(path);
  return parsed(url, transfer({.url = url, .key = key_, .post_body = {}, .patience = patience_}, nullptr));
}

Result<json> ApiClient::post(std::string_view path, const json& body) {
  FLOTILLA_TRY(const std::string text, serialized(body));
  const std::string url = base_url_ + std::string(path);
  return parsed(url, transfer({.url = url, .key = key_, .post_body = text, .patience = patience_}, nullptr));
}

Status ApiClient::post_lines(std::string_view path, const json& body, const OnLine& on_line) {
  FLOTILLA_TRY(const std::string text, serialized(body));
  const Request request{.url = base_url_ + std::string(path), .key = key_, .post_body = text, .patience = patience_};
  FLOTILLA_TRY([[maybe_unused]] const auto rest, transfer(request, &on_line));
  return {};
}

bool ApiClient::answers() {
  const auto health = get("/health");
  return health || health.error().code != Code::unavailable;
}

std::string ApiClient::escaped(std::string_view text) {
  const std::unique_ptr<char, decltype(&curl_free)> escaped(
      curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())), curl_free);
  return escaped ? escaped.get() : "";
}

}  // namespace flotilla
