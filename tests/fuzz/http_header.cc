// A request's header and everything that is read out of it: target, host, origin. Without sockets, so by the million.
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "fuzz.h"
#include "server/authority.h"
#include "server/gate.h"
#include "server/http_header.h"
#include "server/http_target.h"
#include "text/utf8.h"

namespace flotilla::fuzz {
namespace {

namespace http = boost::beast::http;

void check_target(std::string_view text) {
  const auto target = parse_target(text);
  if (!target) return;
  claim(target->path.starts_with('/') && is_valid_utf8(target->path), "a path begins with / and is UTF-8");
  claim(target->path == "/" || !target->path.ends_with('/'), "a path ends without /");
  for (const auto& [name, value] : target->query)
    claim(is_valid_utf8(name) && is_valid_utf8(value), "a query is UTF-8");
}

void check_authority(std::string_view text) {
  const auto authority = parse_authority(text);
  if (authority) {
    claim(!authority->host.empty() && authority->port.size() <= 5, "a host has a name");
    const std::string host = authority->host.contains(':') ? "[" + authority->host + "]" : authority->host;
    const auto again = parse_authority(authority->port.empty() ? host : host + ":" + authority->port);
    // One last dot was taken off; a name with two of them is another name each time.
    claim(authority->host.ends_with('.') || (again && *again == *authority), "a host is read as it was understood");
  }
  const auto origin = parse_origin(std::string(text));
  claim(origin.has_value() == authority_of_origin(text).has_value(), "an origin is one for both readers");
  if (origin) claim(parse_origin(*origin).value() == *origin, "an origin is written once");
}

void check_request(HttpRequest& request) {
  claim(request.path.starts_with('/') && is_valid_utf8(request.path), "a request has a path");
  static const Gate gate({.names = {"studio"}, .origins = {"https://chat.example"}, .no_auth = false});
  request.remote_address = request.local_address = boost::asio::ip::make_address("127.0.0.1");
  for (const auto& [name, value] : gate.headers_for(request))
    claim(!value.contains('\n') && !value.contains('\r'), "an answer's header is one line");
  claim(!request.wanted_headers.contains('\n'), "a header that comes back is one line");
  if (gate.refusal(request, Access::of(Scope::admin))) return;
  const auto host = parse_authority(request.host);
  claim(!request.host.empty() ? host.has_value() : true, "who passes the gate names a host");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  namespace http = boost::beast::http;
  const auto text = fuzz::text_of(fuzz::bytes_of_input(data, size));
  fuzz::check_target(text);
  fuzz::check_authority(text);
  http::request_parser<http::string_body> parser;
  parser.header_limit(limits::http_header_bytes_max);
  parser.body_limit(limits::http_body_bytes_max);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(data, size), error);
  if (!parser.is_header_done()) return 0;
  if (auto request = check_header(parser.get(), {})) fuzz::check_request(*request);
  return 0;
}
