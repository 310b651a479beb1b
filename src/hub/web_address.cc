#include "hub/web_address.h"

#include <curl/curl.h>

#include <memory>

#include "base/words.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

using Url = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

Url new_url() { return {curl_url(), &curl_url_cleanup}; }

std::string part_of(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return "";
  const std::unique_ptr<char, decltype(&curl_free)> owned(text, &curl_free);
  return owned.get();
}

Status take(const Url& url, const std::string& address) {
  const CURLUcode outcome = curl_url_set(url.get(), CURLUPART_URL, address.c_str(), CURLU_DISALLOW_USER);
  if (outcome == CURLUE_OK && !address.contains('\0')) return {};
  return fail(Code::invalid_argument, "[hub] expected an address on the web but got '{}' ({})", excerpt(address),
              curl_url_strerror(outcome));
}

}  // namespace

Result<std::string> origin_of_address(const std::string& address) {
  const Url url = new_url();
  FLOTILLA_TRY_STATUS(take(url, address));
  const std::string scheme = lower_case(part_of(url, CURLUPART_SCHEME));
  if (scheme != "http" && scheme != "https")
    return fail(Code::invalid_argument, "[hub] expected an http or https address but got '{}'", excerpt(address));
  return std::format("{}://{}:{}", scheme, lower_case(part_of(url, CURLUPART_HOST)),
                     part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

Result<std::string> address_from(const std::string& base, const std::string& location) {
  const Url url = new_url();
  FLOTILLA_TRY_STATUS(take(url, base));
  const bool is_encrypted = lower_case(part_of(url, CURLUPART_SCHEME)) == "https";
  FLOTILLA_TRY_STATUS(take(url, location));
  std::string address = part_of(url, CURLUPART_URL);
  if (is_encrypted && lower_case(part_of(url, CURLUPART_SCHEME)) != "https")
    return fail(Code::unauthorized, "[hub] expected {} to lead to an encrypted address but got '{}'; nothing was asked",
                origin_of_address(base).value_or(excerpt(base)), excerpt(address));
  return address;
}

std::string escaped_for_address(const std::string& text) {
  const std::unique_ptr<char, decltype(&curl_free)> escaped(
      curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())), &curl_free);
  return escaped ? escaped.get() : "";
}

}  // namespace flotilla
