// POST /v1/responses: OpenAI's newer dialect, whose answers are items and whose streams are numbered events.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/dialect.h"
#include "server/response_request.h"
#include "server/response_store.h"

namespace flotilla {

class OpenAiResponses : public Dialect {
 public:
  // `key`: whose answers may be gone on from.
  OpenAiResponses(std::shared_ptr<ResponseStore> store, std::uint64_t key) : store_(std::move(store)), key_(key) {}

  ApiResult<GenerationOrder> read(const nlohmann::json& body) override;
  void keep_order(const JsonText& body, GenerationOrder& order) override;
  ApiResult<void> recall() override;
  ApiResult<std::vector<Prompt>> prompts(const OpenModel& model) override;
  const char* prompt_field() const override { return "input"; }
  std::string whole(const AnswerFacts& facts, std::span<const ChoicePiece> choices) override;
  std::string piece(const AnswerFacts& facts, const ChoicePiece& piece) override;
  std::string end(const AnswerFacts& facts) override;
  std::string broken(const AnswerFacts& facts, const ApiError& error) override;
  std::string silent(const AnswerFacts& facts, std::string_view why) override;
  std::string_view stream_type() const override;
  HttpAnswer refused(const ApiError& error) const override { return error_answer(error); }

 private:
  Json response(const AnswerFacts& facts, std::string_view status) const;
  Json finished(const AnswerFacts& facts, const AnswerParts& parts, std::string_view finish);
  void keep(const AnswerFacts& facts, const AnswerParts& parts);
  std::string event(std::string_view type, Json data);
  std::string begin(const AnswerFacts& facts);
  std::string open_item(const AnswerFacts& facts, const AnswerPart& part);
  std::string delta(const AnswerPart& part);
  std::string close_item();

  const std::shared_ptr<ResponseStore> store_;
  const std::uint64_t key_;
  ResponseRequest request_;
  std::size_t before_ = 0;  // instructions in front of the messages
  // Of a stream.
  std::uint64_t sequence_ = 0;
  bool begun_ = false, item_open_ = false;
  std::string item_id_;
  AnswerParts parts_;  // all of it; the last is that of the open item
  std::string_view finish_;
};

}  // namespace flotilla
