#include "server/openai_errors.h"

#include <string_view>

namespace flotilla {
namespace {

std::string_view type_name(unsigned status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

}  // namespace

Json error_body(const ApiError& error) {
  return {{"error",
           {{"message", error.error.message},
            {"type", type_name(status_of(error))},
            {"param", error.param.empty() ? Json(nullptr) : Json(error.param)},
            {"code", code_name(error)}}}};
}

HttpAnswer error_answer(const ApiError& error) { return error_answer(error, dump(error_body(error))); }

}  // namespace flotilla
