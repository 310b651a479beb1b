#include "server/test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cctype>
#include <format>
#include <future>
#include <utility>

#include "base/check.h"

namespace flotilla {

std::vector<std::string> Response::events() const {
  std::vector<std::string> events;
  for (std::size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
    const auto end = body.find("\n\n", at);
    events.push_back(body.substr(at + 6, end - at - 6));
    at = end == std::string::npos ? body.size() : end;
  }
  return events;
}

TestClient::TestClient(std::uint16_t port, int receive_buffer_bytes) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (receive_buffer_bytes > 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0,
        "the server under test listens");
}

TestClient::~TestClient() { close(); }

void TestClient::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void TestClient::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close();
}

bool TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool TestClient::fill() {
  char piece[16384];
  const auto received = ::recv(fd_, piece, sizeof(piece), 0);
  if (received <= 0) return false;
  buffer_.append(piece, static_cast<std::size_t>(received));
  return true;
}

std::string TestClient::take(std::size_t bytes) {
  while (buffer_.size() < bytes && fill()) {
  }
  auto taken = buffer_.substr(0, bytes);
  buffer_.erase(0, taken.size());
  return taken;
}

std::string TestClient::read_until(std::string_view mark) {
  std::size_t at;
  while ((at = buffer_.find(mark)) == std::string::npos) {
    if (!fill()) return std::exchange(buffer_, {});
  }
  return take(at + mark.size());
}

bool TestClient::ended() {
  char piece[16384];
  while (true) {
    const auto received = ::recv(fd_, piece, sizeof(piece), 0);
    if (received == 0) return true;
    if (received < 0) return errno == ECONNRESET;
  }
}

Response TestClient::read(bool has_body) {
  Response response;
  const auto head = read_until("\r\n\r\n");
  if (!head.starts_with("HTTP/1.1 ")) return response;
  response.status = std::atoi(head.c_str() + 9);
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const auto end = head.find("\r\n", at);
    const auto colon = head.find(": ", at);
    if (end == at || end == std::string::npos) break;
    auto name = head.substr(at, colon - at);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    response.headers[name] = head.substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  if (!has_body) return response;
  if (response.headers.contains("content-length")) {
    response.body = take(std::stoul(response.headers["content-length"]));
  } else if (response.headers.contains("transfer-encoding")) {
    while (true) {
      const auto line = read_until("\r\n");
      const auto bytes = line.empty() ? 0 : std::stoul(line, nullptr, 16);
      response.body += take(bytes);
      if (take(2) != "\r\n" || bytes == 0) break;
    }
  } else if (response.headers["connection"] == "close") {
    while (fill()) {
    }
    response.body = std::exchange(buffer_, {});
  }
  return response;
}

std::string get_request(std::string_view path, std::string_view more) {
  return std::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, more);
}

std::string post_request(std::string_view path, std::string_view body, std::string_view type, std::string_view more) {
  return std::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\n{}Content-Length: {}\r\n\r\n{}", path,
                     type, more, body.size(), body);
}

Response TestClient::get(std::string_view path) {
  send(get_request(path));
  return read();
}

Response TestClient::post(std::string_view path, const nlohmann::json& body) {
  send(post_request(path, body.dump()));
  return read();
}

ServerUnderTest::ServerUnderTest(ServerLimits limits, std::chrono::milliseconds token_pause, ServerOptions options)
    : backend_(std::make_unique<ScriptedBackend>(loop_, token_pause)) {
  options.limits = limits;
  auto server = Server::start(loop_, std::move(options), *backend_);
  check(server.has_value(), "a free port is found");
  server_ = std::move(*server);
  port_ = server_->port();
  thread_ = std::thread([this] {
    const auto work = boost::asio::make_work_guard(loop_);
    loop_.run();
  });
}

ServerUnderTest::~ServerUnderTest() {
  destroy();
  loop_.stop();
  thread_.join();
}

void ServerUnderTest::on_loop(const std::function<void()>& work) {
  std::promise<void> ran;
  boost::asio::post(loop_, [&] {
    work();
    ran.set_value();
  });
  ran.get_future().wait();
}

std::vector<RouteInfo> ServerUnderTest::routes() {
  std::vector<RouteInfo> routes;
  on_loop([&] { routes = server_->routes(); });
  return routes;
}

void ServerUnderTest::stop() {
  on_loop([this] { server_->stop(); });
}

void ServerUnderTest::destroy() {
  on_loop([this] { server_.reset(); });
}

nlohmann::json chat(std::string_view text, nlohmann::json more) {
  nlohmann::json body{{"model", "tiny"}, {"messages", {{{"role", "user"}, {"content", text}}}}};
  body.update(more);
  return body;
}

nlohmann::json completion(nlohmann::json prompt, nlohmann::json more) {
  nlohmann::json body{{"model", "tiny"}, {"prompt", std::move(prompt)}};
  body.update(more);
  return body;
}

std::vector<nlohmann::json> chunks(const Response& response) {
  std::vector<nlohmann::json> chunks;
  for (const auto& event : response.events()) {
    if (event != "[DONE]") chunks.push_back(nlohmann::json::parse(event));
  }
  return chunks;
}

std::optional<GenerateRequest> seen(ServerUnderTest& server, const char* path, const nlohmann::json& body,
                                    std::string_view more_headers) {
  std::optional<GenerateRequest> request;
  server.on_loop([&] { server.backend().on_generate = [&](const GenerateRequest& r) { request = r; }; });
  TestClient client(server.port());
  client.send(post_request(path, body.dump(), "application/json", more_headers));
  client.read();
  server.on_loop([&] { server.backend().on_generate = nullptr; });
  return request;
}

}  // namespace flotilla
