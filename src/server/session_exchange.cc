#include "server/session_exchange.h"

#include <boost/asio/post.hpp>
#include <boost/beast/http/status.hpp>
#include <format>
#include <utility>

#include "base/request_log.h"
#include "server/http_session.h"
#include "server/request_id.h"
#include "server/traffic.h"

namespace flotilla {
namespace {

// No browser takes an answer for something else than it says it is, or lets another site's page embed it.
constexpr std::string_view safety_headers =
    "X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n";

// Of these HTTP says that nothing follows the headers.
bool has_no_body(unsigned status) { return status == 204 || status == 304; }

// Monitoring programs ask these every few seconds, browsers the others all at once: no news at level info.
bool is_routine(std::string_view route) {
  return route == "/health" || route == "/ready" || route == "/metrics" || route == "/cluster" ||
         route == "/placements" || route.starts_with("/assets/");
}

// Counted, and one line of the log. Of what the client wrote only its id, which is harmless, and no path.
void account_for(ServerTraffic& traffic, const HttpRequest& request, unsigned status,
                 std::chrono::duration<double> took) {
  traffic.answered(request.route, request.method, status, took);
  const bool is_news = status >= 500 || !is_routine(request.route);
  log_request(is_news ? LogLevel::info : LogLevel::debug, "server", request.id, "{} {} in {:.3f} s{}{}",
              request.route.empty() ? "no route" : request.route, status, took.count(),
              request.account.empty() ? "" : ": ", request.account);
}

}  // namespace

SessionExchange::SessionExchange(std::shared_ptr<HttpSession> session, HttpRequest request, Form form)
    : session_(std::move(session)), request_(std::move(request)), form_(form) {
  if (request_.id.empty()) request_.id = request_id_for({});  // refused before its header was understood
}

SessionExchange::~SessionExchange() {
  if (!session_) return;
  // Possibly not the loop's thread: whoever held the exchange let go of it.
  const auto executor = session_->socket_.get_executor();
  boost::asio::post(executor, [session = std::move(session_), request = std::move(request_), began = began_] {
    account_for(*session->host_->traffic, request, status_client_gone, std::chrono::steady_clock::now() - began);
    session->client_gone();
  });
}

std::string SessionExchange::head(const HttpAnswer& answer, bool keep_alive) {
  const auto status = status_ = answer.status;
  const auto reason = boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(status));
  std::string head = std::format("HTTP/1.1 {} {}\r\nServer: flotilla\r\nX-Request-Id: {}\r\n", status,
                                 std::string_view(reason.data(), reason.size()), request_.id);
  head += safety_headers;
  head += std::format("Cache-Control: {}\r\nContent-Security-Policy: {}\r\n", answer.caching, answer.policy);
  for (const auto& [name, value] : request_.answer_headers) head += std::format("{}: {}\r\n", name, value);
  if (!answer.content_type.empty()) head += std::format("Content-Type: {}\r\n", answer.content_type);
  if (!keep_alive) {
    head += "Connection: close\r\n";
  } else if (form_.http_1_0) {
    head += "Connection: keep-alive\r\n";
  }
  return head;
}

void SessionExchange::answer(HttpAnswer answer) {
  if (!session_) return;
  std::string bytes = head(answer, form_.keep_alive);
  for (const auto& [name, value] : answer.headers) bytes += std::format("{}: {}\r\n", name, value);
  if (!has_no_body(answer.status)) bytes += std::format("Content-Length: {}\r\n", answer.body.size());
  bytes += "\r\n";
  if (request_.method != "HEAD") bytes += answer.body;
  session_->push(std::move(bytes));
  whole(form_.keep_alive);
}

void SessionExchange::start_stream(std::string_view content_type) {
  if (!session_) return;
  if (form_.http_1_0) form_.keep_alive = false;  // no chunks there: the end of the connection ends the answer
  const HttpAnswer begun{.content_type = std::string(content_type), .body = {}, .headers = {}};
  std::string bytes = head(begun, form_.keep_alive);
  bytes += "X-Accel-Buffering: no\r\n";
  bytes += form_.http_1_0 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n";
  session_->push(std::move(bytes));
}

void SessionExchange::send(std::string piece) {
  if (!session_ || piece.empty()) return;
  session_->push(form_.http_1_0 ? std::move(piece) : std::format("{:x}\r\n{}\r\n", piece.size(), piece));
}

void SessionExchange::finish(After after) {
  if (!session_) return;
  if (!form_.http_1_0) session_->push("0\r\n\r\n");
  whole(form_.keep_alive && after == After::keep_alive);
}

void SessionExchange::on_end(std::function<void(ExchangeEnd)> on_end) {
  if (session_) session_->on_end_ = std::move(on_end);
}

void SessionExchange::whole(bool keep_alive) {
  account_for(*session_->host_->traffic, request_, status_, std::chrono::steady_clock::now() - began_);
  std::exchange(session_, nullptr)->answer_whole(keep_alive);
}

}  // namespace flotilla
