#include "app/trust_flags.h"

#include <cstdint>
#include <memory>
#include <string>

#include "app/client_flags.h"
#include "app/flag_values.h"
#include "app/trust_verbs.h"
#include "trust/join_token.h"

namespace flotilla {

void add_token(CLI::App& app, int& exit_code) {
  CLI::App* token =
      app.add_subcommand("token", "Tokens that let machines into this machine's cluster: create, list, revoke");
  token->require_subcommand(1);
  token->footer("Example:\n  flotilla token create --ttl 15m --uses 1");
  CLI::App* verb = token->add_subcommand("create", "Make a token; the first one makes this machine's cluster");
  verb->footer("Examples:\n  flotilla token create\n  flotilla token create --ttl 15m --uses 1");
  const auto flags = add_client_flags(*verb, true);
  const auto ttl = std::make_shared<std::string>("1h");
  const auto uses = std::make_shared<std::uint32_t>(20);
  verb->add_option("--ttl", *ttl, "How long it lets machines in, 1m to 30d: 90s, 15m, 1h")
      ->check(validator_of(seconds_from_text, "TIME"))
      ->capture_default_str();
  verb->add_option("--uses", *uses, "How many machines it lets in")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  verb->callback([flags, ttl, uses, &exit_code] {
    exit_code = create_token(flags->verb, seconds_from_text(*ttl).value(), *uses);
  });
  CLI::App* list = token->add_subcommand("list", "The tokens that still let machines in");
  const auto list_flags = add_client_flags(*list, true);
  list->callback([list_flags, &exit_code] { exit_code = list_tokens(list_flags->verb); });
  CLI::App* revoke = token->add_subcommand("revoke", "End a token; machines that came by it stay");
  const auto revoke_flags = add_client_flags(*revoke, true);
  const auto id = std::make_shared<std::string>();
  revoke->add_option("ID", *id, "As flotilla token list shows it")->required();
  revoke->callback([revoke_flags, id, &exit_code] { exit_code = end_token(revoke_flags->verb, *id); });
}

void add_join(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("join", "Bring this machine into a cluster");
  verb->footer(
      "With a token that a member made, or by a code that both screens show.\n"
      "Examples:\n  flotilla join flt1-…              a token of flotilla token create\n"
      "  flotilla join                     then, on a member that shows the same code: flotilla approve CODE\n"
      "  flotilla join --peer studio:52414");
  const auto flags = add_client_flags(*verb, true);
  const auto join = std::make_shared<JoinFlags>();
  verb->add_option("TOKEN", join->token, "What flotilla token create printed on a machine of the cluster")
      ->check(validator_of(JoinToken::parse, "TOKEN"));
  verb->add_option("--peer", join->peer, "A machine of the cluster, where discovery cannot reach it: HOST[:PORT]");
  verb->add_flag("--yes", join->yes, "By code: do not ask whether the other machine shows the same");
  verb->callback([flags, join, &exit_code] { exit_code = join_cluster(flags->verb, *join); });
}

void add_approve(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("approve", "Let in the machine that shows this code");
  verb->footer("Example:\n  flotilla approve 042917");
  const auto flags = add_client_flags(*verb, true);
  const auto code = std::make_shared<std::string>();
  verb->add_option("CODE", *code, "Six digits, on both screens")->required();
  verb->callback([flags, code, &exit_code] { exit_code = approve_machine(flags->verb, *code); });
}

void add_revoke(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("revoke", "Put a machine out of the cluster, also one that is away");
  verb->footer("Example:\n  flotilla revoke laptop");
  const auto flags = add_client_flags(*verb, true);
  const auto name = std::make_shared<std::string>();
  verb->add_option("NAME", *name, "Its name or its device id, as flotilla members shows them")->required();
  verb->callback([flags, name, &exit_code] { exit_code = revoke_machine(flags->verb, *name); });
}

void add_leave(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("leave", "Take this machine out of its cluster");
  verb->footer("It keeps its models, and may join another cluster or this one again.\nExample:\n  flotilla leave");
  const auto flags = add_client_flags(*verb, true);
  const auto force = std::make_shared<bool>(false);
  verb->add_flag("--force", *force,
                 "Also where this machine holds the cluster's key: nobody is let in or put out there any more");
  verb->callback([flags, force, &exit_code] { exit_code = leave_cluster(flags->verb, *force); });
}

}  // namespace flotilla
