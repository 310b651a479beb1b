// An error on its way to a client, before it has a dialect's form.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "server/http_exchange.h"

namespace flotilla {

class JsonFields;

struct ApiError {
  Error error;
  std::string param;                    // the field at fault; empty: none
  std::string name;                     // OpenAI's `code` where it is not the one of error.code
  unsigned status = 0;                  // 0: the one of error.code
  std::chrono::seconds retry_after{0};  // 0: what error.code suggests
  std::vector<std::pair<std::string, std::string>> headers = {};  // of the answer, beside Retry-After

  // An error of the rooms below says what happened; the field stays unnamed.
  static ApiError from(Error error) { return {.error = std::move(error), .param = {}, .name = {}, .status = 0}; }
};

template <class T>
using ApiResult = std::expected<T, ApiError>;

template <class... Args>
std::unexpected<ApiError> api_fail(Code code, std::string param, std::format_string<Args...> format, Args&&... args) {
  return std::unexpected(ApiError{.error = {code, std::format(format, std::forward<Args>(args)...)},
                                  .param = std::move(param),
                                  .name = {},
                                  .status = 0});
}

std::unexpected<ApiError> fault_of(const JsonFields& fields);  // which have one

unsigned status_of(const ApiError& error);
std::string code_name(const ApiError& error);  // OpenAI's names; the rest carry ours

// With its status, its headers, and Retry-After where trying again can help.
HttpAnswer error_answer(const ApiError& error, std::string body);

// A dialect's form of an error. The first is OpenAI's, for all routes that say nothing else.
using ErrorForm = HttpAnswer (*)(const ApiError& error);
HttpAnswer error_answer(const ApiError& error);

}  // namespace flotilla
