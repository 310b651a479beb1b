// One request's body on its way through a dialect, its generation and its answer, without HTTP around it.
#pragma once

#include <memory>
#include <string>

#include "scripted_node.h"
#include "server/embedding.h"
#include "server/generation.h"

namespace flotilla::fuzz {

// Keeps what is answered, and claims what an exchange promises.
class RecordedExchange : public HttpExchange {
 public:
  explicit RecordedExchange(std::string_view body) {
    request_.method = "POST";
    request_.body = body;
  }
  ~RecordedExchange() override { claim(is_whole_ || is_cut_, "a request is answered"); }

  HttpRequest& request() override { return request_; }
  void answer(HttpAnswer answer) override {
    claim(!is_whole_ && !is_stream_, "one answer");
    claim(answer.status >= 200 && answer.status != 500, "no body makes us fail");
    const auto json = nlohmann::json::parse(answer.body, nullptr, false);
    const bool says_error = json.is_object() && json.contains("error") && !json["error"].is_null();
    claim(json.is_object() && (answer.status == 200) != says_error, "an answer is JSON of its kind");
    is_whole_ = true;
  }
  void start_stream(std::string_view) override {
    claim(!is_whole_ && !is_stream_, "one stream");
    is_stream_ = true;
  }
  void send(std::string piece) override {
    claim(is_stream_ && !is_whole_, "pieces come within a stream");
    claim(piece.empty() || piece.ends_with('\n'), "a piece is whole");
    for (std::size_t at = 0; at < piece.size();) {
      const auto end = piece.find('\n', at);
      check_line(std::string_view(piece).substr(at, end - at));
      at = end + 1;
    }
  }
  void finish(After) override {
    claim(is_stream_ && !is_whole_, "a stream ends once");
    is_whole_ = true;
  }
  void on_end(std::function<void(ExchangeEnd)> on_end) override { on_end_ = std::move(on_end); }

  void hang_up() {
    is_cut_ = true;
    if (!is_whole_ && on_end_) std::exchange(on_end_, nullptr)(ExchangeEnd::gone);
  }

 private:
  // Of server-sent events, or of lines of JSON.
  static void check_line(std::string_view line) {
    const bool is_data = line.starts_with("data: "), is_json = is_data || line.starts_with('{');
    const bool is_form = line.empty() || line.starts_with(": ") || line.starts_with("event: ");
    claim(is_json || is_form, "a line is an event's or JSON");
    if (is_data) line.remove_prefix(6);
    if (is_json && line != "[DONE]")
      claim(!nlohmann::json::parse(line, nullptr, false).is_discarded(), "an event is JSON");
  }

  HttpRequest request_;
  bool is_whole_ = false, is_stream_ = false, is_cut_ = false;
  std::function<void(ExchangeEnd)> on_end_;
};

// `start`: has the exchange answered by a host.
template <class Start>
void run_exchange(std::string_view body, Start start) {
  static boost::asio::io_context loop;
  static ScriptedNode node(loop);
  static const auto host = std::make_shared<GenerationHost>(GenerationHost{loop.get_executor(), node, {}});
  const auto exchange = std::make_shared<RecordedExchange>(body);
  start(exchange, host);
  run_until_idle(loop);
  exchange->hang_up();
  node.forget();
  run_until_idle(loop);
  claim(host->choices_running == 0, "nothing goes on that nobody reads");
  claim(exchange.use_count() == 1, "nothing keeps an exchange that has ended");
}

template <class SomeDialect, class... Arguments>
void run_request(std::string_view body, Arguments... arguments) {
  run_exchange(body, [&](const auto& exchange, const auto& host) {
    Generation::start(exchange, std::make_unique<SomeDialect>(std::move(arguments)...), host);
  });
}

template <class SomeDialect>
void run_embedding(std::string_view body) {
  run_exchange(body, [](const auto& exchange, const auto& host) {
    Embedding::start(exchange, std::make_unique<SomeDialect>(), host);
  });
}

}  // namespace flotilla::fuzz
