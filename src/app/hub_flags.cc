#include "app/hub_flags.h"

#include <memory>

#include "app/flag_values.h"
#include "app/home.h"
#include "app/hub_verbs.h"
#include "hub/model_reference.h"

namespace flotilla {
namespace {

Result<std::string> parse_revision(const std::string& text) {
  if (is_revision(text)) return text;
  return fail(Code::invalid_argument, "[app] expected a branch or a tag of the repository");
}

std::shared_ptr<HubVerbOptions> add_options(CLI::App& verb) {
  const auto options = std::make_shared<HubVerbOptions>();
  options->home = default_home();
  verb.add_option("--home", options->home, "Home of this machine's node, in which links to files of yours are kept")
      ->envname("FLOTILLA_HOME")
      ->capture_default_str();
  verb.add_flag("--json", options->json, "Print JSON, for scripts");
  return options;
}

void add_pull(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("pull", "Get a model from a hub, checked byte for byte");
  verb->footer(
      "Without MODEL it lists the short names. Stopped at any moment, the same command goes on where it was.\n"
      "What it gets lies in the cache of Hugging Face's tools, whose variables it heeds: HF_TOKEN, HF_ENDPOINT, "
      "HF_HOME,\n"
      "HF_HUB_CACHE, HF_HUB_OFFLINE; and HTTPS_PROXY, NO_PROXY.\n"
      "Examples:\n  flotilla pull qwen3-4b\n  flotilla pull Qwen/Qwen3-8B-GGUF:Q5_K_M\n"
      "  flotilla pull file:~/Downloads/model.gguf       link a file that is here already");
  const auto options = add_options(*verb);
  verb->add_option("MODEL", options->model, "ORG/NAME:QUANT, a short name such as qwen3-4b, or file:PATH")
      ->check(validator_of(parse_model_reference, "MODEL"));
  verb->add_option("--revision", options->revision, "A branch or a tag of the repository")
      ->check(validator_of(parse_revision, "NAME"))
      ->capture_default_str();
  verb->add_option("--tries", options->tries, "How often to try in a row without a single new byte")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  verb->callback([options, &exit_code] { exit_code = pull(*options); });
}

void add_remove(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("rm", "Remove a model that was pulled from this machine's disk");
  verb->footer("Examples:\n  flotilla rm qwen3-4b\n  flotilla rm Qwen/Qwen3-8B-GGUF:Q5_K_M --yes");
  const auto options = add_options(*verb);
  verb->add_option("MODEL", options->model, "A model's name or a beginning of it that fits only one, or ORG/NAME:QUANT")
      ->required();
  verb->add_flag("--yes", options->yes, "Do not ask");
  verb->callback([options, &exit_code] { exit_code = remove_model(*options); });
}

void add_verify(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("verify", "Read models that were pulled again, and compare their hashes");
  verb->footer("Examples:\n  flotilla verify\n  flotilla verify qwen3-4b");
  const auto options = add_options(*verb);
  verb->add_option("MODEL", options->model, "One model (default: all that were pulled)");
  verb->callback([options, &exit_code] { exit_code = verify_models(*options); });
}

}  // namespace

void add_hub_verbs(CLI::App& app, int& exit_code) {
  add_pull(app, exit_code);
  add_remove(app, exit_code);
  add_verify(app, exit_code);
}

}  // namespace flotilla
