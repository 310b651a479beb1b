#include "app/hub_verbs.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <print>

#include "app/exit_codes.h"
#include "app/hub_progress.h"
#include "app/interrupt.h"
#include "app/model_removal.h"
#include "app/terminal.h"
#include "app/verbs.h"
#include "base/replace_file.h"
#include "base/units.h"
#include "base/words.h"
#include "hub/cached_choice.h"
#include "hub/disk.h"
#include "hub/pull.h"
#include "hub/short_names.h"
#include "model/gguf.h"
#include "model/gguf_files.h"
#include "model/spec.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// Bytes of names on a disk may be no UTF-8, which JSON has no form for.
std::string dumped(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json texts_of(const std::vector<fs::path>& paths) {
  auto texts = ordered_json::array();
  for (const fs::path& path : paths) texts.push_back(path.string());
  return texts;
}

void next_step(const HubVerbOptions& options, std::string_view text) {
  if (!options.json && is_terminal(STDOUT_FILENO)) std::println("\n{}", text);
}

int report_hub(const HubVerbOptions& options, const Error& error) {
  if (options.json) {
    const ordered_json told{{"code", to_string(error.code)}, {"message", without_room(error.message)}};
    std::println("{}", dumped({{"error", told}}));
  }
  const int code = report(error);
  return error.code == Code::closed || error.code == Code::timeout ? exit_unreachable : code;
}

int list_short_names(const HubVerbOptions& options) {
  if (options.json) {
    auto list = ordered_json::array();
    for (const ShortName& each : short_names())
      list.push_back({{"name", each.name}, {"repository", each.repository}, {"quant", each.quant}});
    std::println("{}", ordered_json{{"short_names", list}}.dump(2));
    return exit_ok;
  }
  std::vector<std::vector<std::string>> rows{{"SHORT NAME", "SIZE", "STANDS FOR"}};
  for (const ShortName& each : short_names())
    rows.push_back({std::string(each.name), std::string(each.size), std::format("{}:{}", each.repository, each.quant)});
  std::print("{}", draw_columns(rows));
  next_step(options, "Next: flotilla pull NAME, or any ORG/NAME:QUANT of huggingface.co with GGUF files");
  return exit_ok;
}

// What was pulled is what the hub has; whether that is a model that runs here, its header says.
Status check_model(const fs::path& file) {
  FLOTILLA_TRY(const auto gguf, Gguf::open(file));
  FLOTILLA_TRY([[maybe_unused]] const auto spec, read_spec(*gguf));
  return {};
}

int tell_pulled(const HubVerbOptions& options, const PulledModel& pulled) {
  const auto runs = check_model(pulled.files.front());
  if (options.json) {
    const ordered_json told{{"name", pulled.name},     {"repository", pulled.repository},
                            {"commit", pulled.commit}, {"files", texts_of(pulled.files)},
                            {"bytes", pulled.bytes},   {"fetched_bytes", pulled.fetched_bytes}};
    std::println("{}", dumped({{"pulled", told}}));
  } else {
    std::println("{} is here{} ({}): {}", pulled.name, pulled.fetched_bytes == 0 ? " already" : "",
                 format_bytes(pulled.bytes), pulled.files.front().string());
  }
  if (!runs)
    return report({runs.error().code, std::format("[app] the file is what the hub has, but no model that runs here: {}",
                                                  without_room(runs.error().message))});
  next_step(options, std::format("Next: flotilla run {} \"why is the sky blue?\"", pulled.name));
  return exit_ok;
}

// A file of the user's own becomes known by a link; nothing is copied.
Result<std::string> link_file(const fs::path& file, const fs::path& models) {
  FLOTILLA_TRY(const auto gguf, Gguf::open(fs::absolute(file)));
  FLOTILLA_TRY_STATUS(make_folder(models));
  for (const fs::path& part : gguf->files()) {
    const fs::path link = models / part.filename();
    std::error_code error;
    if (fs::equivalent(link, part, error)) continue;
    fs::create_symlink(part, link, error);
    if (error == std::errc::file_exists)
      return fail(Code::busy, "[app] expected no '{}' yet but there is one; remove it or rename yours", link.string());
    if (error) return disk_error("link", link, error.value());
  }
  return gguf->name();
}

int pull_file(const HubVerbOptions& options, const fs::path& file) {
  const auto name = link_file(file, options.home / "models");
  if (!name) return report_hub(options, name.error());
  if (options.json)
    std::println("{}", dumped({{"linked", {{"name", *name}, {"file", fs::absolute(file).string()}}}}));
  else
    std::println("{} is linked from {}", *name, (options.home / "models").string());
  next_step(options, std::format("Next: flotilla run {} \"why is the sky blue?\"", *name));
  return exit_ok;
}

// A write that fails is an error here, not the end of the process.
void take_failed_writes() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool agrees(const std::string& question) {
  if (!is_terminal(STDIN_FILENO)) return false;
  std::print("{} [y/N] ", question);
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

struct Verdict {
  CachedModel model;
  VerifiedModel verified;

  std::string_view word() const {
    return !verified.damaged.empty() ? "damaged" : verified.unknown.empty() ? "whole" : "no hash is known";
  }
};

Result<std::vector<CachedModel>> models_to_verify(const HubVerbOptions& options) {
  auto models = cached_models(hub_cache_folder());
  if (options.model.empty()) return models;
  FLOTILLA_TRY(auto one, choose_cached(models, options.model));
  return std::vector{std::move(one)};
}

int tell_verdicts(const HubVerbOptions& options, const std::vector<Verdict>& verdicts) {
  auto list = ordered_json::array();
  std::vector<std::vector<std::string>> rows{{"MODEL", "SIZE", "STATE"}};
  const Verdict* damaged = nullptr;
  for (const Verdict& verdict : verdicts) {
    const auto& [model, verified] = verdict;
    if (!verified.damaged.empty()) damaged = &verdict;
    list.push_back({{"name", model.name},
                    {"repository", model.repository},
                    {"bytes", verified.bytes},
                    {"state", verdict.word()},
                    {"damaged", texts_of(verified.damaged)}});
    rows.push_back({model.name, format_bytes(bytes_of_all(model.files)), std::string(verdict.word())});
  }
  if (options.json)
    std::println("{}", dumped({{"models", list}}));
  else if (verdicts.empty())
    std::println("Nothing was pulled yet. Next: flotilla pull; it lists what there is");
  else
    std::print("{}", draw_columns(rows));
  if (!damaged) return exit_ok;
  std::println(
      stderr,
      "flotilla: {} is not what it was when it came ({}); fetch it anew: flotilla rm {} --yes && flotilla pull {}",
      damaged->model.name, damaged->verified.damaged.front().string(), damaged->model.reference(),
      damaged->model.reference());
  return exit_failed;
}

}  // namespace

int pull(const HubVerbOptions& options) {
  if (options.model.empty()) return list_short_names(options);
  take_failed_writes();
  auto reference = parse_model_reference(options.model);
  if (!reference) return report_hub(options, reference.error());
  if (!reference->file.empty()) return pull_file(options, reference->file);
  auto settings = HubSettings::from_environment();
  if (!settings) return report_hub(options, settings.error());
  const PullOrder order{.model = *std::move(reference),
                        .revision = options.revision,
                        .settings = *std::move(settings),
                        .tries = options.tries};
  const InterruptGuard guard;
  HubProgress progress("pulling " + options.model, options.json);
  const auto pulled = pull_model(order, progress.watch());
  progress.end();
  if (pulled) return tell_pulled(options, *pulled);
  if (!interrupted()) return report_hub(options, pulled.error());
  std::println(stderr, "stopped; what is here stays. Next: flotilla pull {} goes on, flotilla rm {} throws it away",
               options.model, order.model.repository);
  return exit_interrupted;
}

int remove_model(const HubVerbOptions& options) {
  const auto removal = find_removal(options.home, options.model);
  if (!removal) return report_hub(options, removal.error());
  if (!options.yes && !agrees(std::format("Remove {}: {}?", removal->name, removal->what))) {
    std::println(stderr, "flotilla: nothing was removed{}", is_terminal(STDIN_FILENO) ? "" : "; say --yes");
    return exit_failed;
  }
  const auto freed = removal->remove();
  if (!freed) return report_hub(options, freed.error());
  if (options.json)
    std::println("{}", dumped({{"removed", {{"name", removal->name}, {"freed_bytes", *freed}}}}));
  else
    std::println("{} is removed, {} are free", removal->name, format_bytes(*freed));
  next_step(options, std::format("Where a node has it loaded it goes on until: flotilla unload {}", removal->name));
  return exit_ok;
}

int verify_models(const HubVerbOptions& options) {
  const auto models = models_to_verify(options);
  if (!models) return report_hub(options, models.error());
  const InterruptGuard guard;
  std::vector<Verdict> verdicts;
  for (const CachedModel& model : *models) {
    HubProgress progress("reading " + model.name, false);
    auto watch = progress.watch();
    if (options.json) watch.on_progress = {};
    auto verified = verify_model(model, watch);
    progress.end();
    if (interrupted()) return exit_interrupted;
    if (!verified) return report_hub(options, verified.error());
    verdicts.push_back({.model = model, .verified = *std::move(verified)});
  }
  return tell_verdicts(options, verdicts);
}

}  // namespace flotilla
