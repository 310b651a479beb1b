// The text side of each model, made from its header: tokenizer and chat template. Those used last are kept; an answer
// under way holds its own.
//
// Thread: the loop's; building happens on the text pool (a vocabulary of 262,144 tokens takes a second).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/node_context.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace flotilla {

struct ModelText {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;
};

class ModelTexts {
 public:
  explicit ModelTexts(NodeContext& context) : context_(context) {}
  using OnText = std::function<void(Result<ModelText>)>;
  void want(const StoredModel& model, OnText on_text);  // calls back on the loop, perhaps at once

 private:
  static constexpr std::size_t kept_max = 8;       // a large vocabulary takes some tens of MB
  using Made = std::pair<std::string, ModelText>;  // by fingerprint
  void keep(Made made);

  NodeContext& context_;
  std::vector<Made> made_;  // the last used first
  std::map<std::string, std::vector<OnText>> waiting_;
};

}  // namespace flotilla
