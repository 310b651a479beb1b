// Decides how one HTTP request becomes n generations and their tokens one answer, whole or streamed.
// In: an exchange, a dialect.  Out: calls on Backend.  Owns: the request's choices until they end.  Thread: the loop's.
// Never: goes on computing for a client that has left.
//
//   read the body (aside) → open the model → make the prompts (aside) → generate → answer
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/answer_meter.h"
#include "server/backend.h"
#include "server/choice.h"
#include "server/dialect.h"
#include "server/http_exchange.h"
#include "server/return_turns.h"
#include "server/server.h"
#include "server/stream_writer.h"

namespace flotilla {

// What all generations of a server share. Outlives them only as far as they do not touch it after they ended.
struct GenerationHost {
  boost::asio::any_io_executor loop;
  Backend& backend;
  ServerLimits limits;
  std::size_t choices_running = 0;
  ReturnTurns turns = {};  // of those who found no place
  std::shared_ptr<ServerTraffic> traffic = std::make_shared<ServerTraffic>();

  bool is_full_for(std::size_t choices) const { return choices_running + choices > limits.choices_running_max; }
  ApiError full();  // for the next client to be turned away
  void give_back(std::size_t choices);
};

// Of a model that could not be opened.
ApiError open_error(Error error, const std::string& model);

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  static void start(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<Dialect> dialect,
                    std::shared_ptr<GenerationHost> host);
  Generation(std::shared_ptr<HttpExchange> exchange, std::unique_ptr<Dialect> dialect,
             std::shared_ptr<GenerationHost> host);

 private:
  struct Running {
    RequestId id;
    Choice choice;
    bool done = false;
    std::uint32_t prompt_reused = 0;
    ChoicePiece whole;  // of an answer that is not streamed
  };

  void read_body();
  void turn_away();
  void open_model();
  void make_prompts(std::shared_ptr<const OpenModel> model);
  void submit();
  ApiResult<void> check_order() const;
  ApiResult<void> check_bytes() const;
  GenerateRequest request_for(const Prompt& prompt, std::uint32_t choice) const;

  void take(std::size_t index, const TokenEvent& event);
  void count(Running& running, const TokenEvent& event);
  bool waits() const;
  void deliver(Running& running, ChoicePiece piece);
  void finish_choice(Running& running, FinishReason reason);
  void finish();
  void fail(const ApiError& error);
  void end(ExchangeEnd end);
  void release();
  void time_step(std::chrono::nanoseconds& step);

  std::shared_ptr<HttpExchange> exchange_;
  std::unique_ptr<Dialect> dialect_;
  std::shared_ptr<GenerationHost> host_;
  AnswerMeter meter_;
  std::shared_ptr<StreamWriter> stream_;  // empty where the answer is whole
  AnswerFacts facts_;
  std::chrono::steady_clock::time_point step_began_;  // of the three that `facts_` times

  std::shared_ptr<BodyBudget::Share> body_share_;  // what was asked lives on until its prompts are on their way

  // Written by the helper thread while it has the word, read by the loop after.
  ApiResult<GenerationOrder> order_;
  ApiResult<std::vector<Prompt>> prompts_;

  std::uint64_t cache_scope_ = 0;  // of all its choices; 0: prompts are computed anew
  std::shared_ptr<const OpenModel> model_;
  std::vector<std::unique_ptr<Running>> running_;
  std::size_t choices_open_ = 0, choices_counted_ = 0;
  std::atomic<bool> ended_ = false;  // the helper thread looks at it too: nobody waits for the rest then
};

}  // namespace flotilla
