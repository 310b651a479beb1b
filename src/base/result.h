// How operating errors travel: the world fails (a peer, a file, a request), the caller decides.
//
// A Result<T> holds a value or an Error. Programmer errors use check() (check.h) and abort; libraries that throw are
// caught in the one file that adapts them. Message form: "[room] expected X but got Y; do Z".
#pragma once

#include <expected>
#include <format>
#include <string>
#include <string_view>
#include <utility>

namespace flotilla {

// Few codes, each with its HTTP status and whether trying again can help (result.cc).
enum class Code {
  invalid_argument,  // the caller's input is wrong: a field, a flag, a file that is not what it claims
  not_found,         // no such model, file, node or route
  context_length,    // the prompt and the answer do not fit the context
  too_large,         // more bytes, items or tokens than limits.h allows
  unsupported,       // understood, but not something this version does
  corrupt,           // bytes that do not match their checksum or contradict themselves
  version_mismatch,  // a peer speaks another protocol version
  unauthorized,      // a peer or client did not prove that it may
  no_memory,         // fits on no machine, or on too few
  no_space,          // the disk is full
  permission,        // the system refused: folder not writable, port below 1024
  busy,              // full for the moment: queue, port in use, name taken
  unavailable,       // not ready yet, or gone: a model still loading, a stage lost
  timeout,           // no answer in time
  closed,            // the link, queue or process ended
  cancelled,         // the one who asked no longer wants it
  internal,          // we do not know better; a bug
};

struct Error {
  Code code = Code::internal;
  std::string message;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

std::string_view to_string(Code code);         // "context_length", as it appears in logs and on the wire
Code code_from_string(std::string_view name);  // internal for a name we do not know (a newer peer)
int http_status(Code code);
bool retry_can_help(Code code);

template <class... Args>
std::unexpected<Error> fail(Code code, std::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, std::format(format, std::forward<Args>(args)...)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

}  // namespace flotilla

// Passes the error of a Result on to the caller, or names its value:   FLOTILLA_TRY(auto file, open_file(path));
// and for a Status:                                                    FLOTILLA_TRY_STATUS(write(file));
#define FLOTILLA_JOIN_(a, b) a##b
#define FLOTILLA_JOIN(a, b) FLOTILLA_JOIN_(a, b)
#define FLOTILLA_TRY(declaration, expression) FLOTILLA_TRY_(FLOTILLA_JOIN(result_, __LINE__), declaration, expression)
#define FLOTILLA_TRY_(result, declaration, expression)            \
  auto result = (expression);                                     \
  if (!result) return std::unexpected(std::move(result).error()); \
  declaration = *std::move(result)
#define FLOTILLA_TRY_STATUS(expression) \
  if (auto status_ = (expression); !status_) return std::unexpected(std::move(status_).error())
