#include "app/model_texts.h"

#include <utility>

#include "app/model_vocabulary.h"

namespace flotilla {
namespace {

Result<ModelText> make_text(const Gguf& gguf) {
  FLOTILLA_TRY(auto data, read_vocabulary(gguf));
  std::string source = data.chat_template;
  ModelText text;
  FLOTILLA_TRY(text.tokenizer, Tokenizer::create(std::move(data)));
  text.chat_template = ChatTemplate::create(std::move(source), text.tokenizer);
  return text;
}

}  // namespace

void ModelTexts::want(const StoredModel& model, OnText on_text) {
  const std::string fingerprint = model.info.fingerprint;
  if (const auto found = made_.find(fingerprint); found != made_.end()) return on_text(found->second);
  auto& waiting = waiting_[fingerprint];
  waiting.push_back(std::move(on_text));
  if (waiting.size() > 1) return;
  context_.aside.post([this, context = &context_, fingerprint, gguf = model.gguf] {
    auto text = make_text(*gguf);
    boost::asio::post(context->loop, [this, fingerprint, text = std::move(text)] {
      if (text) made_[fingerprint] = *text;
      const auto waiters = waiting_.extract(fingerprint);
      for (const OnText& waiter : waiters.mapped()) waiter(text);
    });
  });
}

}  // namespace flotilla
