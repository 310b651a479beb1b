#include "server/api_error.h"

#include "server/json_body.h"

namespace flotilla {

std::unexpected<ApiError> fault_of(const JsonFields& fields) {
  const auto& fault = fields.fault();
  return std::unexpected(ApiError{.error = fault->error, .param = fault->param, .name = {}});
}

unsigned status_of(const ApiError& error) {
  return error.status != 0 ? error.status : static_cast<unsigned>(http_status(error.error.code));
}

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

HttpAnswer error_answer(const ApiError& error, std::string body) {
  HttpAnswer answer{.status = status_of(error), .body = std::move(body), .headers = error.headers};
  if (retry_can_help(error.error.code)) {
    // Full for a moment, or loading for a while.
    const std::chrono::seconds usual(error.error.code == Code::busy ? 1 : 5);
    const auto wait = error.retry_after.count() > 0 ? error.retry_after : usual;
    answer.headers.emplace_back("Retry-After", std::to_string(wait.count()));
  }
  return answer;
}

}  // namespace flotilla
