#include "server/http_header.h"

#include <boost/beast/http/field.hpp>
#include <format>
#include <iterator>
#include <utility>

#include "base/words.h"
#include "server/http_target.h"
#include "server/request_id.h"

namespace flotilla {
namespace {

namespace http = boost::beast::http;

std::string media_type(std::string_view value) {
  auto type = lower_case(value.substr(0, value.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  return type;
}

std::unexpected<ApiError> refusal(Code code, unsigned status, std::string message) {
  return std::unexpected(
      ApiError{.error = {code, "[server] " + std::move(message)}, .param = {}, .name = {}, .status = status});
}

ApiResult<void> check_size(const http::request_header<>& header, const ServerLimits& limits) {
  if (header.target().size() > limits.target_bytes_max) {
    return refusal(Code::too_large, 414,
                   std::format("expected a target of at most {} bytes in the request line but got {}",
                               limits.target_bytes_max, header.target().size()));
  }
  const auto fields = static_cast<std::size_t>(std::distance(header.begin(), header.end()));
  if (fields > limits.header_fields_max) {
    return refusal(Code::too_large, 431,
                   std::format("expected at most {} headers but got {}", limits.header_fields_max, fields));
  }
  return {};
}

// What two readers of one request could take for two different things is nobody's request.
ApiResult<void> check_host(const http::request_header<>& header) {
  const auto hosts = header.count(http::field::host);
  if (hosts == 1 || (hosts == 0 && header.version() < 11)) return {};
  return refusal(Code::invalid_argument, 400, std::format("expected one Host header but got {}", hosts));
}

// What anyone may look at takes no body: room for bodies is for who may send one.
ApiResult<void> check_body(const http::request_header<>& header) {
  const bool looks = header.method() == http::verb::get || header.method() == http::verb::head ||
                     header.method() == http::verb::options;
  const auto length = header[http::field::content_length];
  if (!looks || (header.count(http::field::transfer_encoding) == 0 && (length.empty() || length == "0"))) return {};
  return refusal(
      Code::invalid_argument, 400,
      std::format("expected a {} without a body but got one; leave it out", std::string(header.method_string())));
}

}  // namespace

ApiResult<HttpRequest> check_header(const http::request_header<>& header, const ServerLimits& limits) {
  if (auto checked = check_size(header, limits); !checked) return std::unexpected(checked.error());
  if (auto checked = check_host(header); !checked) return std::unexpected(checked.error());
  if (auto checked = check_body(header); !checked) return std::unexpected(checked.error());
  if (const auto encoding = lower_case(header[http::field::content_encoding]);
      !encoding.empty() && encoding != "identity") {
    return refusal(Code::unsupported, 415, "expected a body without Content-Encoding but got \"" + encoding + "\"");
  }
  auto target = parse_target(std::string_view(header.target().data(), header.target().size()));
  if (!target)
    return refusal(Code::invalid_argument, 400, "expected a path that begins with / and is well escaped UTF-8");
  const auto text = [&](auto field) { return std::string(header[field]); };
  HttpRequest request;
  request.method = header.method_string();
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  request.content_type = media_type(header[http::field::content_type]);
  request.host = target->authority.empty() ? text(http::field::host) : std::move(target->authority);
  request.authorization = text(http::field::authorization);
  request.api_key = text("x-api-key");
  request.origin = text(http::field::origin);
  request.fetch_site = text("sec-fetch-site");
  request.accept = text(http::field::accept);
  request.accept_encoding = text(http::field::accept_encoding);
  request.if_none_match = text(http::field::if_none_match);
  request.wanted_method = text(http::field::access_control_request_method);
  request.wanted_headers = text(http::field::access_control_request_headers);
  request.id = request_id_for(text("x-request-id"));
  return request;
}

}  // namespace flotilla
