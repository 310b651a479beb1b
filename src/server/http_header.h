// A request's header, checked, as the request that its body will complete. Pure.
#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>

#include "server/api_error.h"
#include "server/http_exchange.h"
#include "server/server.h"

namespace flotilla {

// 414 for a target too long, 431 for too many fields, 415 for an encoded body, 400 for a target or a Host that is none,
// more than one Host, or a body that comes with GET, HEAD or OPTIONS. The addresses of the connection stay empty.
ApiResult<HttpRequest> check_header(const boost::beast::http::request_header<>& header, const ServerLimits& limits);

}  // namespace flotilla
