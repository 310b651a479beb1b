#include "app/key_verbs.h"

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <print>

#include "app/key_file.h"
#include "app/terminal.h"
#include "app/verbs.h"

namespace flotilla {
namespace {

using nlohmann::ordered_json;

std::string day_of(std::int64_t seconds) {
  return std::format("{:%F}", std::chrono::sys_seconds(std::chrono::seconds(seconds)));
}

// Without the hash: it is of no use to people.
ordered_json shown_json(const ApiKey& key) {
  auto scopes = ordered_json::array();
  for (const Scope scope : all_scopes)
    if (key.scopes.has(scope)) scopes.push_back(to_string(scope));
  return {{"id", key.id}, {"name", key.name}, {"scopes", scopes}, {"created", key.created}};
}

}  // namespace

int create_key(const KeyOptions& options) {
  Scopes scopes;
  for (const std::string& name : options.scopes)
    if (const auto scope = scope_from_string(name)) scopes.add(*scope);  // others were refused as they were typed
  const auto made = KeyFile(options.home).create(options.name, scopes);
  if (!made) return report(made.error());
  if (options.json) {
    auto shown = shown_json(made->key);
    shown["key"] = made->text;
    std::println("{}", shown.dump(2));
    return 0;
  }
  std::println(stderr, "Key {} may: {}. This is the only time it is shown:", made->key.name, scopes.joined(", "));
  std::println("{}", made->text);
  std::println(stderr, "Clients send it as their API key; flotilla's own commands take it from FLOTILLA_KEY or --key.");
  if (made->is_first)
    std::println(stderr,
                 "It is the first: from now on this machine's API asks everybody for a key. Your own commands on this "
                 "machine go on without.");
  return 0;
}

int list_keys(const KeyOptions& options) {
  if (!std::filesystem::is_directory(options.home))
    return report(
        {Code::not_found, std::format("[app] expected a node's home at {} but there is none; name it with --home",
                                      options.home.string())});
  const auto keys = KeyFile(options.home).read();
  if (!keys) return report(keys.error());
  if (options.json) {
    auto list = ordered_json::array();
    for (const ApiKey& key : *keys) list.push_back(shown_json(key));
    std::println("{}", ordered_json{{"keys", list}}.dump(2));
    return 0;
  }
  if (keys->empty()) {
    std::println("No keys: programs on this machine need none. Next: flotilla key create --name NAME");
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"NAME", "ID", "MAY", "SINCE"}};
  for (const ApiKey& key : *keys) rows.push_back({key.name, key.id, key.scopes.joined(", "), day_of(key.created)});
  std::print("{}", draw_columns(rows));
  return 0;
}

int revoke_key(const KeyOptions& options) {
  const auto revoked = KeyFile(options.home).revoke(options.name);
  if (!revoked) return report(revoked.error());
  std::println("Key {} is revoked: it is refused from now on.", revoked->key.name);
  if (revoked->was_last)
    std::println(
        "It was the last: programs on this machine need no key now, and nobody else gets in, unless the node runs with "
        "--no-auth: then everybody does.");
  return 0;
}

}  // namespace flotilla
