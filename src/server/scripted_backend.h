// A Backend that answers by script, for tests and for scripted_server: no model, tokens are bytes.
//
// Models: "tiny" and "org/tiny"; "slow-loading" opens when the test says so (finish_opening()); "vectors", not listed,
// makes of each text (tokens, first token, last token, 1), at length 1, and of one with "[held]" in it nothing at all;
// "bare-vectors" does so without a token of its own before the text's.
// Words in the prompt say how it is answered: by default with "one two three four five"; "forever" counts on until the
// budget is spent;
// "[manual]" answers when the test says so (emit(), end()); "[full]" is refused as busy; "[broken]" fails after three
// tokens; "[say]" is answered with what the last message says behind it. Tools are called as Hermes does, thoughts
// stand in <think>. Thread: the loop's, but for wait_…() and cancelled_count(), which a test's thread calls.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "server/backend.h"

namespace flotilla {

inline constexpr TokenId scripted_bos = 256, scripted_end = 257;

std::shared_ptr<const Tokenizer> scripted_tokenizer();
// "tools: […]\n" where there are any, "role: content\n" …, then "assistant: " and, where it is to think, "<think>\n".
std::shared_ptr<const ChatTemplate> scripted_template();

class ScriptedBackend : public Backend {
 public:
  explicit ScriptedBackend(boost::asio::io_context& loop, std::chrono::milliseconds token_pause = {});
  ~ScriptedBackend() override;

  std::vector<ModelListing> models() override;
  void open(const std::string& model, ModelUse use, OnOpen on_open) override;
  void generate(GenerateRequest request, OnToken on_token) override;
  void cancel(RequestId id) override;
  bool waits(RequestId) override { return is_waiting; }
  void embed(EmbedRequest request, OnVectors on_vectors) override;
  void cancel_embedding(RequestId id) override;
  bool ready() override { return is_ready; }
  nlohmann::json cluster() override;
  void load(const nlohmann::json& arguments, std::function<void(nlohmann::json)> on_progress, OnJson on_done) override;
  void unload(const nlohmann::json& arguments, OnJson on_done) override;
  void plan(const nlohmann::json& arguments, OnJson on_done) override;
  void show(const std::string& model, OnJson on_done) override;
  void doctor(OnJson on_done) override;
  nlohmann::json placements() override;
  std::function<void()> pull(const std::string& model, const std::string& revision, OnLine on_line,
                             OnJson on_done) override;
  nlohmann::json pulls() override;
  void remove(const std::string& model, OnJson on_done) override;
  void search_hub(const std::string& text, OnLine on_found) override;
  std::function<void()> trust(const std::string& wish, const nlohmann::json& arguments,
                              std::function<void(nlohmann::json)> on_progress, OnJson on_done) override;
  std::function<void()> measure(const nlohmann::json& arguments, std::function<void(nlohmann::json)> on_progress,
                                OnJson on_done) override;
  void run_aside(std::function<void()> work, std::function<void()> done) override;

  // For "[manual]": what came in, and the events to give back. `text` goes out token by token.
  struct Held {
    GenerateRequest request;
    OnToken on_token;
    std::int32_t index = 0;
  };
  std::vector<std::shared_ptr<Held>> held;
  void emit(Held& to, std::string_view text);
  void end(Held& to, FinishReason reason, std::optional<Error> error = {});
  void finish_opening(Result<void> outcome);

  // For the test's thread: waits, for ten seconds at most, until so many requests were generated or cancelled.
  bool wait_for_held(std::size_t count);
  bool wait_for_cancelled(std::size_t count);
  std::size_t cancelled_count();

  bool is_ready = true, is_waiting = false;
  std::uint32_t context_tokens = 4096;
  std::size_t endless_bytes_max = SIZE_MAX;                 // of what goes on until the budget is spent
  std::function<void(const GenerateRequest&)> on_generate;  // sees every request

 private:
  struct Script;
  void play(const std::shared_ptr<Script>& script);
  void step(const std::shared_ptr<Script>& script);
  std::shared_ptr<const OpenModel> model(const std::string& name) const;
  void count(std::size_t& counter);
  bool wait(const std::size_t& counter, std::size_t count);

  boost::asio::io_context& loop_;
  std::chrono::milliseconds token_pause_;
  boost::asio::thread_pool helper_{1};
  std::map<RequestId, std::shared_ptr<Script>> scripts_;
  std::map<RequestId, OnVectors> held_vectors_;
  std::vector<std::pair<std::string, OnOpen>> opening_;
  std::vector<OnJson> unanswered_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t held_count_ = 0, cancelled_count_ = 0;
};

}  // namespace flotilla
