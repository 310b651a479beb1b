#include "app/chat.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <print>
#include <utility>

#include "app/api_client.h"
#include "app/borrowed_node.h"
#include "app/client_key.h"
#include "app/exit_codes.h"
#include "app/interrupt.h"
#include "app/load_request.h"
#include "app/model_name.h"
#include "app/terminal.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t continuation_tokens = 256;

struct Answer {
  std::string text;
  bool thinks = false;  // the last that came was a thought
  std::uint64_t tokens = 0;
  double first_token_seconds = 0, total_seconds = 0;
  std::optional<Error> error;
};

// What a model thinks is for whoever watches, not for what reads our output.
void show_thought(const std::string& thought, Answer& answer) {
  answer.thinks = true;
  if (!is_terminal(STDERR_FILENO)) return;
  std::print(stderr, "{}", thought);
}

void show_text(const std::string& text, Answer& answer) {
  if (std::exchange(answer.thinks, false) && is_terminal(STDERR_FILENO)) std::println(stderr, "\n");
  answer.text += text;
  std::print("{}", text);
  std::fflush(stdout);
}

// Prints the pieces as they arrive.
void on_event(std::string_view line, Clock::time_point started, const char* text_path, Answer& answer) {
  if (!line.starts_with("data: ") || line == "data: [DONE]") return;
  const json event = json::parse(line.substr(6), nullptr, false);
  if (!event.is_object()) return;
  if (event.contains("error")) {
    answer.error =
        Error{code_from_string(
                  event["error"].value("code", json("")).is_string() ? event["error"]["code"].get<std::string>() : ""),
              event["error"].value("message", "the node reported an error")};
    return;
  }
  if (event.contains("usage") && event["usage"].is_object())
    answer.tokens = event["usage"].value("completion_tokens", 0u);
  if (!event.contains("choices") || event["choices"].empty()) return;
  const json& choice = event["choices"][0];
  const auto piece_at = [&](const char* path) {
    const json piece = choice.value(json::json_pointer(path), json());
    return piece.is_string() ? piece.get<std::string>() : std::string();
  };
  const auto thought = piece_at("/delta/reasoning_content"), text = piece_at(text_path);
  if (thought.empty() && text.empty()) return;
  if (answer.text.empty() && !answer.thinks)
    answer.first_token_seconds = std::chrono::duration<double>(Clock::now() - started).count();
  if (!thought.empty()) show_thought(thought, answer);
  if (!text.empty()) show_text(text, answer);
}

json sampling_of(const ChatOptions& options, const std::string& model) {
  json body{{"model", model},
            {"stream", true},
            {"temperature", options.temperature},
            {"stream_options", {{"include_usage", true}}}};
  if (options.max_tokens > 0) body["max_tokens"] = options.max_tokens;
  if (options.seed >= 0) body["seed"] = options.seed;
  return body;
}

Result<Answer> ask(ApiClient& client, const char* path, const json& body, const char* text_path) {
  const InterruptGuard guard;  // Ctrl-C stops this answer, not the conversation
  Answer answer;
  const auto started = Clock::now();
  const auto streamed = client.post_lines(path, body, [&](std::string_view line) {
    on_event(line, started, text_path, answer);
    return !interrupted();
  });
  answer.total_seconds = std::chrono::duration<double>(Clock::now() - started).count();
  if (streamed && !answer.error) return answer;
  if (!answer.text.empty() && !answer.text.ends_with('\n')) {  // the error begins a line of its own
    std::println("");
    std::fflush(stdout);
  }
  return fail(streamed ? *answer.error : streamed.error());
}

// A base model has no chat template; it continues the prompt instead.
Result<Answer> answer_to(ApiClient& client, const ChatOptions& options, const std::string& model,
                         const json& messages) {
  json body = sampling_of(options, model);
  body["messages"] = messages;
  auto answer = ask(client, "/v1/chat/completions", body, "/delta/content");
  if (answer || answer.error().code != Code::unsupported || !answer.error().message.contains("chat template"))
    return answer;
  if (is_terminal(STDERR_FILENO))
    std::println(stderr, "({} was not taught to answer: it goes on with your text)", model);
  json completion = sampling_of(options, model);
  if (options.max_tokens == 0) completion["max_tokens"] = continuation_tokens;  // such models find no end
  completion["prompt"] = messages.back()["content"];
  return ask(client, "/v1/completions", completion, "/text");
}

Status check_utf8(std::string_view what, std::string_view text) {
  const std::size_t offset = valid_utf8_bytes(text);
  if (offset == text.size()) return {};
  return fail(
      Code::invalid_argument,
      "[app] expected {} in UTF-8 but got bytes that are not, at offset {}; convert it first, for instance with: "
      "iconv -f LATIN1 -t UTF-8",
      what, offset);
}

void print_speed(const Answer& answer) {
  const double seconds = answer.total_seconds - answer.first_token_seconds;
  if (answer.tokens < 2 || seconds <= 0) return;
  std::println(stderr, "{} tokens, {:.1f} tok/s, first token after {:.2f} s", answer.tokens,
               static_cast<double>(answer.tokens - 1) / seconds, answer.first_token_seconds);
}

json opening(const ChatOptions& options) {
  json messages = json::array();
  if (!options.system.empty()) messages.push_back({{"role", "system"}, {"content", options.system}});
  return messages;
}

// False where there is none before the question that is asked now.
bool forget_oldest_turn(json& messages) {
  const std::size_t first = !messages.empty() && messages[0]["role"] == "system" ? 1 : 0;
  if (messages.size() < first + 3) return false;
  messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(first),
                 messages.begin() + static_cast<std::ptrdiff_t>(first + 2));
  return true;
}

int converse(ApiClient& client, const ChatOptions& options, const std::string& model) {
  if (is_terminal(STDIN_FILENO))
    std::println(stderr, "Chatting with {}. An empty line or Ctrl-D ends it; Ctrl-C stops an answer.", model);
  json messages = opening(options);
  for (std::string line;;) {
    if (is_terminal(STDIN_FILENO)) std::print(stderr, "> ");
    if (!std::getline(std::cin, line) || line.empty()) return 0;
    if (const auto readable = check_utf8("what is asked", line); !readable) {
      const int code = report(readable.error());
      if (is_terminal(STDIN_FILENO)) continue;
      return code;
    }
    messages.push_back({{"role", "user"}, {"content", line}});
    auto answer = answer_to(client, options, model, messages);
    while (!answer && answer.error().code == Code::context_length && forget_oldest_turn(messages)) {
      std::println(stderr, "(the context is full: the oldest question and its answer are forgotten)");
      answer = answer_to(client, options, model, messages);
    }
    if (!answer) return report(answer.error());
    std::println("");
    std::fflush(stdout);
    messages.push_back({{"role", "assistant"}, {"content", answer->text}});
    print_speed(*answer);
  }
}

int answer_once(ApiClient& client, const ChatOptions& options, const std::string& model, const std::string& prompt) {
  json messages = opening(options);
  messages.push_back({{"role", "user"}, {"content", prompt}});
  const auto answer = answer_to(client, options, model, messages);
  if (!answer) return report(answer.error());
  std::println("");
  std::fflush(stdout);
  print_speed(*answer);
  return interrupted() ? exit_interrupted : 0;
}

Status load_for_chat(ApiClient& client, const std::string& model) {
  const auto loaded = load_showing_progress(client, {{"model", model}});
  if (loaded) return {};
  Error failure = loaded.error();
  if (failure.code == Code::permission) return {};  // a key that may ask but not load: asking loads what is on disk
  if (failure.code == Code::cancelled) return fail(Code::cancelled, "[app] interrupted while {} was loading", model);
  if (failure.code == Code::no_memory)  // `run` has no flag for it: what it loads can be loaded by hand
    failure.message += std::format(", for example: flotilla load {} --context 256 --sequences 1", model);
  return fail(std::move(failure));
}

}  // namespace

int run_chat(const ChatOptions& options) {
  const bool from_input = options.prompt == "-";
  const std::string prompt = from_input ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : options.prompt;
  if (const auto readable = check_utf8("the prompt", prompt); !readable) return report(readable.error());
  if (const auto readable = check_utf8("--system", options.system); !readable) return report(readable.error());
  ApiClient client(options.verb.api_url, client_key(options.verb));
  std::optional<BorrowedNode> borrowed;
  if (!client.answers()) {
    auto node = BorrowedNode::start(options.verb.api_url, options.verb.home, options.model_folders);
    if (!node) return report(node.error());
    borrowed = std::move(*node);
    client = ApiClient(options.verb.api_url, client_key(options.verb));  // that node's own key is new
    std::println(
        stderr,
        "No node was running, so one was started for this conversation. `flotilla serve` keeps one for longer.");
  }
  // A node started here looks where this command says; one that runs already looks where its own command said.
  const auto model =
      borrowed ? resolve_model_name(client, options.model, std::format("flotilla run {} --models DIR", options.model))
               : resolve_model_name(client, options.model);
  if (!model) return report(model.error());
  if (const auto loaded = load_for_chat(client, *model); !loaded) {
    const int code = report(loaded.error());
    return interrupted() ? exit_interrupted : code;
  }
  if (options.prompt.empty()) return converse(client, options, *model);
  return answer_once(client, options, *model, prompt);
}

}  // namespace flotilla
