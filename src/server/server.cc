#include "server/server.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <format>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "server/dialect_routes.h"
#include "server/generation.h"
#include "server/http_session.h"
#include "server/hub_routes.h"
#include "server/management.h"
#include "server/openai_errors.h"
#include "server/page.h"
#include "server/peer_address.h"
#include "server/router.h"

namespace flotilla {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Exchange = std::shared_ptr<HttpExchange>;

constexpr std::chrono::milliseconds accept_pause{
    100};  // after the system refused a connection, for want of descriptors

Result<tcp::endpoint> resolve(asio::io_context& loop, const ServerOptions& options) {
  error_code error;
  if (const auto address = asio::ip::make_address(options.host, error); !error)
    return tcp::endpoint(address, options.port);
  tcp::resolver resolver(loop);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail(Code::invalid_argument,
                "[server] expected --api HOST:PORT with an address of this machine but got {} ({})", options.host,
                error.message());
  }
  return found.begin()->endpoint();
}

Error listen_error(const error_code& error, const tcp::endpoint& endpoint) {
  const auto where = std::format("{}:{}", endpoint.address().to_string(), endpoint.port());
  if (error == asio::error::address_in_use) {
    return {Code::busy,
            std::format("[server] expected {} to be free but another program listens there, perhaps another flotilla "
                        "serve; stop it, or choose another port with --api HOST:PORT",
                        where)};
  }
  if (error == asio::error::access_denied) {
    return {Code::permission,
            std::format("[server] expected to be allowed to listen on {} but the system refuses; choose a port "
                        "above 1023 with --api HOST:PORT",
                        where)};
  }
  return {Code::invalid_argument,
          std::format(
              "[server] expected to listen on {} but the system says: {}; is that an address of this machine (--api)?",
              where, error.message())};
}

Result<tcp::acceptor> listen(asio::io_context& loop, const tcp::endpoint& endpoint) {
  tcp::acceptor acceptor(loop);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(listen_error(error, endpoint));
  return acceptor;
}

bool is_on_loopback(const tcp::endpoint& endpoint) { return plain_address(endpoint.address()).is_loopback(); }

// Loopback is for this machine's own programs; whoever opens another address says who may come.
Status check_exposure(const tcp::endpoint& endpoint, const ServerOptions& options) {
  const bool has_key = options.keys && !options.keys().empty();
  if (is_on_loopback(endpoint) || has_key || options.gate.no_auth) return {};
  return fail(
      Code::unauthorized,
      "[server] expected an API key before others can reach this machine at {0}, but there is none; make one with "
      "`flotilla key create`, or keep the API on this machine with --api 127.0.0.1:{1}, or, where everybody who "
      "reaches {0} may use the models and load and unload them, say --no-auth",
      options.host, options.port);
}

std::string greeting(const std::string& host, std::uint16_t port) {
  const bool any = host == "0.0.0.0" || host == "::";
  const auto base = std::format("http://{}:{}", any ? "localhost" : host.contains(':') ? "[" + host + "]" : host, port);
  return std::format(
      "Flotilla is running.\n\n"
      "OpenAI API   {0}/v1        (chat/completions, completions, responses, models; any API key while this node has "
      "none of its own)\n"
      "Anthropic    {0}           (v1/messages)\n"
      "Ollama API   {0}           (api/chat, api/generate, api/tags; for programs that look for the words: Ollama is "
      "running)\n"
      "Models       {0}/v1/models\n"
      "Cluster      {0}/cluster\n"
      "Health       {0}/health and {0}/ready\n\n"
      "Help: flotilla --help, and README.md and docs/ beside its sources.\n",
      base);
}

// One bounded attempt, then the socket closes: there is no room for a session.
void turn_away(tcp::socket socket, ConnectionCount::Verdict why) {
  const bool full = why == ConnectionCount::Verdict::full;
  const Error error = full ? Error{Code::unavailable, "[server] too many connections; try again in a moment"}
                           : Error{Code::busy,
                                   "[server] too many connections from this address; close some, or send several "
                                   "requests over one"};
  const auto body = dump(error_body(ApiError::from(error)));
  const auto answer = std::format(
      "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: 1\r\n"
      "Connection: close\r\n\r\n{}",
      full ? "503 Service Unavailable" : "429 Too Many Requests", body.size(), body);
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(answer), ignored);
  socket.shutdown(tcp::socket::shutdown_both, ignored);
}

void tell_metrics(HttpExchange& exchange, const ServerTraffic& traffic, Backend& backend) {
  MetricsText text;
  traffic.write(text);
  backend.metrics(text);
  exchange.answer({.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = text.take(), .headers = {}});
}

class ListeningServer : public Server {
 public:
  ListeningServer(tcp::acceptor acceptor, ServerOptions options, Backend& backend)
      : acceptor_(std::make_shared<tcp::acceptor>(std::move(acceptor))),
        http_(std::make_shared<HttpHost>()),
        generation_(
            std::make_shared<GenerationHost>(GenerationHost{acceptor_->get_executor(), backend, options.limits})),
        router_(std::make_shared<Router>(Gate(options.gate, options.keys))) {
    http_->limits = options.limits;
    http_->traffic = generation_->traffic;
    http_->bodies = std::make_shared<BodyBudget>(options.limits.bodies_bytes_max);
    add_routes(options, backend);
    // A copy: connections may outlive this object by a turn of the loop.
    http_->serve = [router = router_](Exchange exchange) { router->serve(std::move(exchange)); };
    http_->refusal = [router = router_](HttpRequest& request) { return router->refusal(request); };
    accept(acceptor_, http_);
  }

  ~ListeningServer() override {
    close_acceptor();
    for (const auto& session : sessions()) session->client_gone();
  }

  std::uint16_t port() const override { return port_; }
  bool is_local() const override { return is_local_; }
  std::vector<RouteInfo> routes() const override { return router_->routes(); }

  void stop() override {
    http_->stopping = true;
    close_acceptor();
    for (const auto& session : sessions()) session->stop();
  }

 private:
  void add_routes(const ServerOptions& options, Backend& backend) {
    error_code ignored;
    const tcp::endpoint endpoint = acceptor_->local_endpoint(ignored);
    port_ = endpoint.port();
    is_local_ = is_on_loopback(endpoint);
    auto& router = *router_;
    add_page_routes(router, options.page, greeting(options.host, port_));
    add_dialect_routes(router, backend, generation_);
    router.add(
        "GET", "/metrics", Access::of(Scope::metrics),
        [&backend, traffic = http_->traffic](const Exchange& exchange) { tell_metrics(*exchange, *traffic, backend); });
    add_management_routes(router, backend, http_->limits);
    add_hub_routes(router, backend, http_->limits);
  }

  static void accept(const std::shared_ptr<tcp::acceptor>& acceptor, const std::shared_ptr<HttpHost>& http) {
    acceptor->async_accept([acceptor, http](const error_code& error, tcp::socket socket) {
      if (!acceptor->is_open()) return;
      if (error) {
        log(LogLevel::warning, "server", "cannot take a connection: {}; trying again", error.message());
        return accept_later(acceptor, http);
      }
      welcome(std::move(socket), http);
      accept(acceptor, http);
    });
  }

  static void welcome(tcp::socket socket, const std::shared_ptr<HttpHost>& http) {
    error_code gone;
    const auto remote = plain_address(socket.remote_endpoint(gone).address());
    if (gone) return;
    const auto local = plain_address(socket.local_endpoint(gone).address());
    const ConnectionCount::Caller caller{.address = remote, .is_near = is_from_this_machine(remote, local)};
    const auto& limits = http->limits;
    const auto verdict = http->connections.add(caller, {.near_max = limits.connections_max,
                                                        .far_max = limits.connections_max,
                                                        .per_address_max = limits.connections_per_address_max});
    if (verdict != ConnectionCount::Verdict::welcome) {
      http->traffic->turned_away();
      return turn_away(std::move(socket), verdict);
    }
    std::make_shared<HttpSession>(std::move(socket), caller, http)->start();
  }

  static void accept_later(const std::shared_ptr<tcp::acceptor>& acceptor, const std::shared_ptr<HttpHost>& http) {
    const auto pause = std::make_shared<asio::steady_timer>(acceptor->get_executor(), accept_pause);
    pause->async_wait([pause, acceptor, http](const error_code&) {
      if (acceptor->is_open()) accept(acceptor, http);
    });
  }

  void close_acceptor() {
    error_code ignored;
    acceptor_->close(ignored);
  }

  std::vector<std::shared_ptr<HttpSession>> sessions() const {
    std::vector<std::shared_ptr<HttpSession>> live;
    for (const auto& [key, weak] : http_->sessions) {
      if (auto session = weak.lock()) live.push_back(std::move(session));
    }
    return live;
  }

  std::shared_ptr<tcp::acceptor> acceptor_;
  std::shared_ptr<HttpHost> http_;
  std::shared_ptr<GenerationHost> generation_;
  std::shared_ptr<Router> router_;
  std::uint16_t port_ = 0;
  bool is_local_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(asio::io_context& loop, ServerOptions options, Backend& backend) {
  FLOTILLA_TRY(const auto endpoint, resolve(loop, options));
  FLOTILLA_TRY_STATUS(check_exposure(endpoint, options));
  FLOTILLA_TRY(auto acceptor, listen(loop, endpoint));
  return std::make_unique<ListeningServer>(std::move(acceptor), std::move(options), backend);
}

}  // namespace flotilla
