// The flags that all verbs share which ask a node, for CLI11. Thread: main.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "app/chat.h"
#include "app/verbs.h"

namespace flotilla {

struct ClientFlags {
  VerbOptions verb;
  LoadWishes wishes;
  ChatOptions chat;
};

void add_client_flags(CLI::App& verb, bool json, const std::shared_ptr<ClientFlags>& flags);
std::shared_ptr<ClientFlags> add_client_flags(CLI::App& verb, bool json);  // json: has --json

// A verb that asks for something and prints it.
void add_listing(CLI::App& app, const char* name, const char* help, const char* footer, int& exit_code,
                 int (*run)(const VerbOptions&));

}  // namespace flotilla
