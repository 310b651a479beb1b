#include "app/client_flags.h"

#include "app/home.h"
#include "app/local_key.h"

namespace flotilla {

void add_client_flags(CLI::App& verb, bool json, const std::shared_ptr<ClientFlags>& flags) {
  flags->verb.api_url = "http://localhost:52415";
  const CLI::Option* api =
      verb.add_option("--api", flags->verb.api_url,
                      "The node to ask, as a URL; where none is named, the one of --home if it runs")
          ->envname("FLOTILLA_API_URL")
          ->capture_default_str();
  verb.add_option("--key", flags->verb.key,
                  "Key to its API, where it asks for one; rather in the environment, which others cannot see")
      ->envname("FLOTILLA_KEY");
  flags->verb.home = default_home();
  verb.add_option("--home", flags->verb.home, "Home of this machine's node, also of one that `run` starts")
      ->envname("FLOTILLA_HOME")
      ->capture_default_str();
  verb.parse_complete_callback([api, flags] {
    if (!api->empty()) return;
    if (const auto noted = noted_api_address(flags->verb.home); !noted.empty()) flags->verb.api_url = "http://" + noted;
  });
  if (json) verb.add_flag("--json", flags->verb.json, "Print JSON, for scripts");
}

std::shared_ptr<ClientFlags> add_client_flags(CLI::App& verb, bool json) {
  auto flags = std::make_shared<ClientFlags>();
  add_client_flags(verb, json, flags);
  return flags;
}

void add_listing(CLI::App& app, const char* name, const char* help, const char* footer, int& exit_code,
                 int (*run)(const VerbOptions&)) {
  CLI::App* verb = app.add_subcommand(name, help);
  verb->footer(footer);
  const auto flags = add_client_flags(*verb, true);
  verb->callback([flags, &exit_code, run] { exit_code = run(flags->verb); });
}

}  // namespace flotilla
