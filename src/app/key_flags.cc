#include "app/key_flags.h"

#include <memory>

#include "app/home.h"
#include "app/key_verbs.h"
#include "server/access.h"

namespace flotilla {
namespace {

CLI::App* add_verb(CLI::App& key, const char* name, const char* help, const std::shared_ptr<KeyOptions>& options) {
  CLI::App* verb = key.add_subcommand(name, help);
  options->home = default_home();
  verb->add_option("--home", options->home, "Home of the node whose keys they are")
      ->envname("FLOTILLA_HOME")
      ->capture_default_str();
  return verb;
}

void add_create(CLI::App& key, int& exit_code) {
  const auto options = std::make_shared<KeyOptions>();
  CLI::App* verb = add_verb(key, "create", "Make a key; it is shown this once", options);
  verb->add_option("--name", options->name, "What to call it, such as who will use it");
  std::vector<std::string> names;
  for (const Scope scope : all_scopes) names.emplace_back(to_string(scope));
  verb->add_option(
          "--scope", options->scopes,
          "What it may do: infer (ask models), batch, models (load, unload, plan), metrics (read /metrics), admin "
          "(everything); may be repeated")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "Print JSON, for scripts");
  verb->callback([options, &exit_code] { exit_code = create_key(*options); });
}

void add_list(CLI::App& key, int& exit_code) {
  const auto options = std::make_shared<KeyOptions>();
  CLI::App* verb = add_verb(key, "list", "The keys there are", options);
  verb->add_flag("--json", options->json, "Print JSON, for scripts");
  verb->callback([options, &exit_code] { exit_code = list_keys(*options); });
}

void add_revoke(CLI::App& key, int& exit_code) {
  const auto options = std::make_shared<KeyOptions>();
  CLI::App* verb = add_verb(key, "revoke", "Make a key worthless", options);
  verb->add_option("NAME", options->name, "The key's name or id")->required();
  verb->callback([options, &exit_code] { exit_code = revoke_key(*options); });
}

}  // namespace

void add_key(CLI::App& app, int& exit_code) {
  CLI::App* key = app.add_subcommand("key", "Keys to this machine's API: create, list, revoke");
  key->footer(
      "Examples:\n  flotilla key create --name ann                    may ask models\n"
      "  flotilla key create --name ops --scope admin      may do everything\n"
      "  flotilla key list\n  flotilla key revoke ann");
  key->require_subcommand(1);
  add_create(*key, exit_code);
  add_list(*key, exit_code);
  add_revoke(*key, exit_code);
}

}  // namespace flotilla
