#include "server/openai_errors.h"

namespace flotilla {
namespace {

// The names OpenAI gives; the rest carry ours, which clients show but do not branch on.
std::string code_name(const ApiError& error) {
  if (!error.name.empty()) return error.name;
  switch (error.error.code) {
    case Code::context_length:
      return "context_length_exceeded";
    case Code::busy:
      return "rate_limit_exceeded";
    default:
      return std::string(to_string(error.error.code));
  }
}

std::string_view type_name(unsigned status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

}  // namespace

unsigned status_of(const ApiError& error) {
  return error.status != 0 ? error.status : static_cast<unsigned>(http_status(error.error.code));
}

Json error_body(const ApiError& error) {
  return {{"error",
           {{"message", error.error.message},
            {"type", type_name(status_of(error))},
            {"param", error.param.empty() ? Json(nullptr) : Json(error.param)},
            {"code", code_name(error)}}}};
}

HttpAnswer error_answer(const ApiError& error) {
  HttpAnswer answer{.status = status_of(error), .body = dump(error_body(error)), .headers = {}};
  if (retry_can_help(error.error.code)) {
    // Full for a moment, or loading for a while.
    const std::chrono::seconds usual(error.error.code == Code::busy ? 1 : 5);
    const auto wait = error.retry_after.count() > 0 ? error.retry_after : usual;
    answer.headers.emplace_back("Retry-After", std::to_string(wait.count()));
  }
  return answer;
}

}  // namespace flotilla
