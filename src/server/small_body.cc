#include "server/small_body.h"

#include <utility>

#include "server/json_body.h"

namespace flotilla {
namespace {

constexpr std::size_t bytes_max = 64u << 10;

}  // namespace

ApiResult<nlohmann::json> small_body(const HttpRequest& request, std::size_t depth_max) {
  if (request.body.size() > bytes_max) {
    return api_fail(Code::too_large, {}, "[server] expected a body of at most {} bytes but got {}", bytes_max,
                    request.body.size());
  }
  auto json = parse_json(request.body, depth_max);
  if (!json) return std::unexpected(ApiError::from(std::move(json).error()));
  return *std::move(json);
}

}  // namespace flotilla
