// The configuration file of flotilla serve, read into flags like its own.
#include "app/config_file.h"

#include <memory>
#include <sstream>

#include "app/usage_error.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  CLI::App app;
  app.set_config("--config", "config.toml");
  const auto config = std::make_shared<ConfigFile>(app, std::vector<std::string>{"serve"});
  CLI::App* serve = app.add_subcommand("serve");
  std::vector<std::string> models;
  std::string home;
  int threads = 0;
  bool measures = false;
  serve->add_option("--models", models);
  serve->add_option("--home", home);
  serve->add_option("--threads", threads)->check(CLI::Range(1, 4096));
  serve->add_flag("--measure", measures);

  std::istringstream text{std::string(fuzz::text_of(fuzz::bytes_of_input(data, size)))};
  const auto items = config->from_config(text);
  if (!config->error().empty()) {
    fuzz::claim(items.size() == 1 && config->error().starts_with("config.toml, line "), "an error names its line");
    return 0;
  }
  for (const CLI::ConfigItem& item : items)
    fuzz::claim(serve->get_option_no_throw("--" + item.name) != nullptr, "what is set is a flag");
  fuzz::claim(items.empty() == config->settings().empty(), "what is set is told");
  return 0;
}
