// A plain HTTP client for tests: blocking, exact, and able to misbehave. Every wait ends after ten seconds.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "server/scripted_backend.h"
#include "server/server.h"

namespace flotilla {

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
  std::vector<std::string> events() const;  // what stands after "data: "
};

class TestClient {
 public:
  explicit TestClient(std::uint16_t port, int receive_buffer_bytes = 0);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool send(std::string_view bytes);              // false: the server no longer listens
  Response read(bool has_body = true);            // status 0: the connection ended before
  std::string read_until(std::string_view mark);  // everything up to and with it; shorter where the connection ended
  bool ended();                                   // waits for the server to close
  void close();                                   // hangs up
  void reset();                                   // hangs up rudely

  Response get(std::string_view path);
  Response post(std::string_view path, const nlohmann::json& body);

 private:
  bool fill();
  std::string take(std::size_t bytes);
  int fd_ = -1;
  std::string buffer_;
};

// `more` stands among the headers: whole lines, each with its end.
std::string get_request(std::string_view path, std::string_view more = {});
std::string post_request(std::string_view path, std::string_view body, std::string_view type = "application/json",
                         std::string_view more = {});

// A server over a scripted backend on a loop of its own thread.
class ServerUnderTest {
 public:
  // `limits` in place of those in `options`.
  explicit ServerUnderTest(ServerLimits limits = {}, std::chrono::milliseconds token_pause = {},
                           ServerOptions options = {});
  ~ServerUnderTest();
  std::uint16_t port() const { return port_; }
  ScriptedBackend& backend() { return *backend_; }
  std::vector<RouteInfo> routes();
  void on_loop(const std::function<void()>& work);  // waits until it has run
  void stop();                                      // Server::stop()
  void destroy();                                   // the Server, not the backend

 private:
  boost::asio::io_context loop_;
  std::unique_ptr<ScriptedBackend> backend_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  std::uint16_t port_ = 0;
};

nlohmann::json chat(std::string_view text, nlohmann::json more = nlohmann::json::object());        // a body for "tiny"
nlohmann::json completion(nlohmann::json prompt, nlohmann::json more = nlohmann::json::object());  // likewise

std::vector<nlohmann::json> chunks(const Response& response);  // its events but [DONE], parsed
// What reaches the backend for a body; nothing where the request was refused.
std::optional<GenerateRequest> seen(ServerUnderTest& server, const char* path, const nlohmann::json& body,
                                    std::string_view more_headers = {});

// Fields that spoil a good body, the field that gets the blame, and words of the message.
struct BadFields {
  nlohmann::json more;
  const char* param;
  const char* words;
};

}  // namespace flotilla
