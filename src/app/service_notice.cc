#include "app/service_notice.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <format>

#include "base/log.h"

namespace flotilla {
namespace {

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value ? value : "";
  ::unsetenv(name);
  return text;
}

std::int64_t number_in(const std::string& text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

ServiceNotice::ServiceNotice(boost::asio::io_context& loop) : address_(take_variable("NOTIFY_SOCKET")), timer_(loop) {
  const auto process = take_variable("WATCHDOG_PID");
  const auto microseconds = number_in(take_variable("WATCHDOG_USEC"));
  if (microseconds > 0 && (process.empty() || number_in(process) == ::getpid()))
    watchdog_ = std::chrono::microseconds(microseconds);
}

void ServiceNotice::ready(std::string_view status) {
  say(std::format("READY=1\nSTATUS={}\n", status));
  if (!address_.empty() && watchdog_.count() > 0) say_alive();
}

void ServiceNotice::stopping() {
  timer_.cancel();
  say("STOPPING=1\n");
}

void ServiceNotice::say_alive() {
  say("WATCHDOG=1\n");
  timer_.expires_after(watchdog_ / 2);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) say_alive();
  });
}

// Never blocks: a manager that does not read must not stop the loop.
void ServiceNotice::say(std::string_view text) const {
  sockaddr_un to{};
  if (address_.empty() || address_.size() >= sizeof to.sun_path) return;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (address_.starts_with('@')) to.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM, 0));
  if (::sendto(socket.get(), text.data(), text.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), length) <
      0)
    log(LogLevel::warning, "app", "cannot tell the service manager at {}: {}", address_, std::strerror(errno));
}

}  // namespace flotilla
