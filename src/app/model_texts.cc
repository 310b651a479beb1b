#include "app/model_texts.h"

#include <algorithm>
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
  if (const auto found = std::ranges::find(made_, fingerprint, &Made::first); found != made_.end()) {
    std::rotate(made_.begin(), found, found + 1);
    return on_text(made_.front().second);
  }
  auto& waiting = waiting_[fingerprint];
  waiting.push_back(std::move(on_text));
  if (waiting.size() > 1) return;
  context_.aside.post([this, context = &context_, fingerprint, gguf = model.gguf] {
    auto text = make_text(*gguf);
    boost::asio::post(context->loop, [this, fingerprint, text = std::move(text)] {
      if (text) keep({fingerprint, *text});
      const auto waiters = waiting_.extract(fingerprint);
      for (const OnText& waiter : waiters.mapped()) waiter(text);
    });
  });
}

void ModelTexts::keep(Made made) {
  if (made_.size() == kept_max) made_.pop_back();
  made_.insert(made_.begin(), std::move(made));
}

}  // namespace flotilla
