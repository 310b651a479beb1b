// `flotilla run`: one answer to a prompt, or a conversation in the terminal.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/verbs.h"

namespace flotilla {

struct ChatOptions {
  VerbOptions verb;
  std::string model, prompt;  // empty prompt: a conversation; "-": read the prompt from standard input
  std::string system;
  double temperature = 0.7;
  long max_tokens = 0;                               // 0: what is left of the context
  long seed = -1;                                    // -1: random
  std::vector<std::filesystem::path> model_folders;  // for the node that `run` starts where none answers, in verb.home
};

int run_chat(const ChatOptions& options);

}  // namespace flotilla
