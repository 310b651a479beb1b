#include "app/trust_verbs.h"

#include <unistd.h>

#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <print>

#include "app/api_client.h"
#include "app/client_key.h"
#include "app/terminal.h"

namespace flotilla {
namespace {

using nlohmann::json;

// Posts, and prints either the whole answer or what people want of it.
template <class Say>
int post_and_say(const VerbOptions& options, const char* path, const json& body, const Say& say) {
  ApiClient client(options.api_url, client_key(options));
  const auto answer = client.post(path, body);
  if (!answer) return report(answer.error());
  if (options.json)
    std::println("{}", answer->dump(2));
  else
    say(*answer);
  return 0;
}

// What is on the other screen, a person sees and we do not.
bool same_code_there(const JoinFlags& flags, const std::string& code, const std::string& machine) {
  std::println("This machine shows the code  {}", code);
  std::println("On {} run, if it shows the same (flotilla members):  flotilla approve {}", machine, code);
  if (flags.yes) return true;
  std::print("Does {} show the same? [y/N] ", machine);
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

Result<std::uint32_t> seconds_from_text(const std::string& text) {
  std::uint32_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(rest, text.data() + text.size());
  const std::uint64_t factor = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
  if (error == std::errc{} && factor > 0 && number * factor <= UINT32_MAX)
    return static_cast<std::uint32_t>(number * factor);
  return fail(Code::invalid_argument, "[app] expected a time such as 90s, 15m, 1h or 7d but got '{}'", text);
}

int create_token(const VerbOptions& options, std::uint32_t seconds, std::uint32_t uses) {
  return post_and_say(options, "/token", {{"ttl_seconds", seconds}, {"uses", uses}}, [](const json& answer) {
    const std::string token = answer.value("token", "");
    std::println("{}", token);
    if (is_terminal(STDOUT_FILENO)) std::println(stderr, "\nOn the new machine:  flotilla serve --join {}", token);
  });
}

int list_tokens(const VerbOptions& options) {
  ApiClient client(options.api_url, client_key(options));
  const auto body = client.get("/tokens");
  if (!body) return report(body.error());
  if (options.json) {
    std::println("{}", body->dump(2));
    return 0;
  }
  if ((*body)["tokens"].empty()) {
    std::println("No token lets anybody in now. Next: flotilla token create");
    return 0;
  }
  std::vector<std::vector<std::string>> table{{"ID", "USED", "ENDS", "MADE BY"}};
  for (const json& token : (*body)["tokens"])
    table.push_back({token.value("id", ""), std::format("{} of {}", token.value("used", 0), token.value("uses", 0)),
                     token.value("ends", ""),
                     token["made_by"].is_string() ? token["made_by"].get<std::string>() : "a machine that is away"});
  std::print("{}", draw_columns(table));
  return 0;
}

int end_token(const VerbOptions& options, const std::string& id) {
  return post_and_say(options, "/tokens/revoke", {{"id", id}}, [](const json& answer) {
    std::println("Token {} lets nobody in any more. Who came by it stays: flotilla revoke puts a machine out.",
                 answer.value("id", ""));
  });
}

int join_cluster(const VerbOptions& options, const JoinFlags& flags) {
  json wish = json::object();
  if (!flags.token.empty()) wish["token"] = flags.token;
  if (!flags.peer.empty()) wish["peer"] = flags.peer;
  if (flags.yes) wish["yes"] = true;
  std::optional<Error> failure;
  json joined;
  ApiClient client(options.api_url, client_key(options));
  const auto done = client.post_lines("/join", wish, [&](std::string_view line) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) return true;
    if (const json shown = event.value("progress", json()); shown.is_object()) {
      const std::string code = shown.value("code", "");
      if (!same_code_there(flags, code, shown.value("machine", ""))) {
        failure = Error{Code::cancelled, "[app] not joined: the codes differ, or nobody compared them"};
        return false;
      }
      if (flags.yes) return true;
      const auto confirmed = ApiClient(options.api_url, client_key(options)).post("/join", {{"confirm", code}});
      if (!confirmed) failure = confirmed.error();
      return confirmed.has_value();
    }
    if (event.contains("joined")) joined = event["joined"];
    if (const json error = event.value("error", json()); error.is_object())
      failure = Error{code_from_string(error.value("code", "")), error.value("message", "")};
    return true;
  });
  if (failure) return report(*failure);
  if (!done) return report(done.error());
  if (options.json)
    std::println("{}", joined.dump(2));
  else
    std::println("{} let this machine in. flotilla nodes shows who is there.", joined.value("by", "a member"));
  return 0;
}

int approve_machine(const VerbOptions& options, const std::string& code) {
  return post_and_say(options, "/approve", {{"code", code}}, [](const json& answer) {
    std::println("{} may come in: it is in once the same code was confirmed there.",
                 answer.value("name", "the machine"));
  });
}

int list_members(const VerbOptions& options) {
  ApiClient client(options.api_url, client_key(options));
  const auto body = client.get("/members");
  if (!body) return report(body.error());
  if (options.json) {
    std::println("{}", body->dump(2));
    return 0;
  }
  std::vector<std::vector<std::string>> table{{"NAME", "STATE", "SIGNS", "DEVICE"}};
  for (const json& member : (*body)["members"])
    table.push_back({member.value("name", ""), member.value("state", ""), member.value("may_sign", false) ? "yes" : "",
                     member.value("id", "")});
  std::print("{}", draw_columns(table));
  if (const auto trust = body->value("trust", ""); trust != "certificate")
    std::println("\nThis machine goes by {}, not by certificates.", trust);
  else if (!(*body)["cluster"].is_string())
    std::println("\nThis machine belongs to no cluster. Let others in: flotilla token create; or join: flotilla join");
  if (body->value("keeps_awake", false))
    std::println("\nThis machine serves, and asks the system not to send it to sleep meanwhile.");
  for (const json& waiting : (*body)["waiting"])
    std::println("\n{} at {} wants to join. If it shows {}, run:  flotilla approve {}", waiting.value("name", ""),
                 waiting.value("host", ""), waiting.value("code", ""), waiting.value("code", ""));
  return 0;
}

int revoke_machine(const VerbOptions& options, const std::string& name) {
  return post_and_say(options, "/revoke", {{"name", name}}, [](const json& answer) {
    std::println("{} is put out of the cluster.", answer.value("name", "the machine"));
  });
}

int leave_cluster(const VerbOptions& options, bool force) {
  return post_and_say(options, "/leave", {{"force", force}},
                      [](const json&) { std::println("This machine belongs to no cluster now."); });
}

}  // namespace flotilla
