#include "app/model_name.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/words.h"
#include "hub/cached_choice.h"
#include "hub/hub_settings.h"
#include "hub/model_reference.h"

namespace flotilla {

Result<std::string> match_model_name(const std::vector<std::string>& known, const std::string& typed,
                                     std::string_view how_to_add) {
  if (std::ranges::contains(known, typed)) return typed;
  std::vector<std::string> fitting;
  for (const std::string& name : known)
    if (!typed.empty() && lower_case(name).starts_with(lower_case(typed))) fitting.push_back(name);
  if (fitting.size() == 1) return fitting.front();
  if (!fitting.empty())
    return fail(Code::invalid_argument, "[app] '{}' could be any of: {}; type more of the name", typed,
                joined(fitting));
  if (known.empty())
    return fail(Code::not_found,
                "[app] no machine has a model named '{}', nor any other; `flotilla pull` lists some to get, or put its "
                "GGUF file into a models folder ({})",
                typed, how_to_add);
  return fail(Code::not_found, "[app] no machine has a model named '{}'; there are: {}", typed, joined(known));
}

Result<std::string> resolve_model_name(ApiClient& client, const std::string& typed, std::string_view how_to_add) {
  FLOTILLA_TRY(const auto body, client.get("/v1/models"));
  std::vector<std::string> known;
  for (const auto& model : body.value("data", nlohmann::json::array()))
    if (model.contains("id") && model["id"].is_string()) known.push_back(model["id"].get<std::string>());
  auto name = match_model_name(known, typed, how_to_add);
  if (name || name.error().code != Code::not_found || typed.empty()) return name;
  // Names of a hub: what was pulled by one is known by its file's, and the rest can be pulled.
  const auto reference = parse_model_reference(typed);
  const bool is_of_hub = reference && reference->file.empty();
  if (is_of_hub)
    if (const auto pulled = choose_cached(cached_models(hub_cache_folder()), typed);
        pulled && std::ranges::contains(known, pulled->name))
      return pulled->name;
  // The node knows of files that it could not take for models.
  const auto shown = client.get("/models/" + ApiClient::escaped(typed));
  if (!shown && shown.error().code == Code::corrupt) return fail(shown.error());
  if (!is_of_hub) return name;
  return fail(
      Code::not_found,
      "{}; to get it from a hub: flotilla pull {}, or flotilla load {}: then each machine fetches only its layers",
      name.error().message, typed, typed);
}

Result<std::string> resolve_name_to_load(ApiClient& client, const std::string& typed) {
  auto name = resolve_model_name(client, typed);
  if (name || name.error().code != Code::not_found) return name;
  const auto reference = parse_model_reference(typed);
  return reference && reference->file.empty() ? typed : name;
}

}  // namespace flotilla
