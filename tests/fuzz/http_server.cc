// Bytes over a socket to a whole server: sessions, the router, the gate, every route. The first byte chooses whether
// the server has keys, the second where the bytes are cut in two.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string>

#include "base/words.h"
#include "scripted_node.h"
#include "server/server.h"

namespace flotilla::fuzz {
namespace {

// Behind a gate for which nobody has the key.
class LockedNode : public ScriptedNode {
 public:
  using ScriptedNode::ScriptedNode;
  std::vector<ModelListing> models() override { return reached(), ScriptedNode::models(); }
  void open(const std::string&, ModelUse, OnOpen) override { reached(); }
  void embed(EmbedRequest, OnVectors) override { reached(); }
  void generate(GenerateRequest, OnToken) override { reached(); }
  nlohmann::json cluster() override { return reached(), nullptr; }
  void load(const nlohmann::json&, std::function<void(nlohmann::json)>, OnJson) override { reached(); }
  void unload(const nlohmann::json&, OnJson) override { reached(); }
  void plan(const nlohmann::json&, OnJson) override { reached(); }
  void show(const std::string&, OnJson) override { reached(); }
  nlohmann::json placements() override { return reached(), nullptr; }
  std::function<void()> trust(const std::string&, const nlohmann::json&, std::function<void(nlohmann::json)>,
                              OnJson) override {
    return reached(), nullptr;
  }
  std::function<void()> measure(const nlohmann::json&, std::function<void(nlohmann::json)>, OnJson) override {
    return reached(), nullptr;
  }
  std::function<void()> pull(const std::string&, const std::string&, OnLine, OnJson) override {
    return reached(), nullptr;
  }
  nlohmann::json pulls() override { return reached(), nullptr; }
  void remove(const std::string&, OnJson) override { reached(); }
  void search_hub(const std::string&, OnLine) override { reached(); }

 private:
  static void reached() { claim(false, "nothing behind the gate is reached without a key"); }
};

class Client {
 public:
  explicit Client(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Closed by a reset: millions of connections would leave no port that is not waiting.
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    // libFuzzer's alarm clock breaks in now and then; the connection is made all the same.
    int failed = 0;
    do failed = ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    while (failed != 0 && (errno == EINTR || errno == EALREADY));
    claim(failed == 0 || errno == EISCONN, "a server listens");
  }
  ~Client() { ::close(descriptor_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view bytes) {
    if (!bytes.empty()) ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  std::string read() {
    std::string text;
    std::array<char, 16384> piece;
    for (ssize_t count; (count = ::recv(descriptor_, piece.data(), piece.size(), MSG_DONTWAIT)) > 0;)
      text.append(piece.data(), static_cast<std::size_t>(count));
    return text;
  }

 private:
  int descriptor_;
};

const std::set<std::string, std::less<>> known_headers = {"server",
                                                          "x-request-id",
                                                          "x-content-type-options",
                                                          "cache-control",
                                                          "content-security-policy",
                                                          "x-frame-options",
                                                          "referrer-policy",
                                                          "cross-origin-resource-policy",
                                                          "content-type",
                                                          "content-length",
                                                          "connection",
                                                          "retry-after",
                                                          "allow",
                                                          "access-control-allow-methods",
                                                          "access-control-max-age",
                                                          "access-control-allow-headers",
                                                          "access-control-allow-origin",
                                                          "access-control-expose-headers",
                                                          "vary",
                                                          "www-authenticate",
                                                          "x-accel-buffering",
                                                          "transfer-encoding"};

// No client can make us fail, nor write a header of its own into an answer.
void check_answers(std::string_view answers) {
  if (answers.empty()) return;
  claim(answers.starts_with("HTTP/1.1 "), "an answer begins as one");
  claim(!answers.starts_with("HTTP/1.1 500") && !answers.contains("\nHTTP/1.1 500"), "no request makes us fail");
  std::string_view head = answers.substr(0, answers.find("\r\n\r\n"));
  for (auto end = head.find("\r\n"); end != std::string_view::npos; end = head.find("\r\n")) {
    head.remove_prefix(end + 2);
    const std::string name = lower_case(head.substr(0, head.find(':')));
    claim(known_headers.contains(name), "an answer has our headers alone");
  }
}

class RunningServer {
 public:
  explicit RunningServer(bool is_locked) {
    ServerOptions options;
    if (is_locked) {
      node_ = std::make_unique<LockedNode>(loop_);
      const ApiKey key{.id = "k", .name = "k", .scopes = Scopes(Scope::admin), .digest = key_digest(make_key_text())};
      options.keys = [keys = ApiKeys({key})]() -> const ApiKeys& { return keys; };
    } else {
      node_ = std::make_unique<ScriptedNode>(loop_);
      options.gate.origins = {"https://chat.example"};
    }
    server_ = Server::start(loop_, std::move(options), *node_).value();
  }

  void ask(std::string_view bytes, std::size_t first) {
    {
      Client client(server_->port());
      client.send(bytes.substr(0, first));
      run_until_idle(loop_);
      client.send(bytes.substr(first));
      run_until_idle(loop_);
      check_answers(client.read());
    }
    node_->forget();
    run_until_idle(loop_);
  }

 private:
  boost::asio::io_context loop_;
  std::unique_ptr<ScriptedNode> node_;
  std::unique_ptr<Server> server_;
};

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla::fuzz;
  static RunningServer open(false), locked(true);
  Input input(data, size);
  const bool is_locked = (input.number<std::uint8_t>() & 1) != 0;
  const std::size_t cut = input.number<std::uint8_t>();
  const auto bytes = input.rest_text();
  (is_locked ? locked : open).ask(bytes, bytes.size() * cut / 256);
  return 0;
}
