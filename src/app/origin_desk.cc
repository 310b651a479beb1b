#include "app/origin_desk.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/fleet.h"
#include "base/words.h"
#include "hub/hub_client.h"
#include "hub/hub_model.h"
#include "hub/model_reference.h"
#include "hub/short_names.h"

namespace flotilla {
namespace {

using nlohmann::json;

constexpr std::size_t found_max = 20;
constexpr std::size_t searched_bytes_max = 200;

json short_names_like(const std::string& text) {
  json list = json::array();
  for (const ShortName& each : short_names()) {
    const bool fits = each.name.contains(lower_case(text)) || lower_case(each.repository).contains(lower_case(text));
    if (fits)
      list.push_back({{"name", each.name},
                      {"repository", each.repository},
                      {"kind", "short"},
                      {"quants", json::array({each.quant})},
                      {"size", each.size}});
  }
  return list;
}

// Blocks; the hub's part of what fits.
Result<std::vector<std::string>> ask_hub(const HubSettings& settings, const std::string& text, const StopFn& stop) {
  HubClient client(settings, 1, {.stop = stop});
  return client.search(text, found_max);
}

}  // namespace

bool OriginDesk::is_known(const std::string& model) const {
  const ClusterView view = context_.view();
  return placement_of(view, model) || holder_of(view, model, "") || context_.store.find(model, "").has_value();
}

void OriginDesk::resolve(LoadModel order, OnNote on_note, OnOrder on_order) {
  const auto reference = parse_model_reference(order.model);
  const bool is_of_hub = reference && reference->file.empty();
  if (is_known(order.model) || !is_of_hub) return on_order(std::move(order));
  on_note(std::format("asking the hub for {}", reference->text()));
  context_.asks.post(
      [this, context = &context_, order = std::move(order), reference = *reference, on_note, on_order, stop = stop_] {
        const PullWatch watch{.on_note =
                                  [&](const std::string& sentence) {
                                    boost::asio::post(context->loop,
                                                      [on_note, stop, sentence = std::string(without_room(sentence))] {
                                                        if (!*stop) on_note(sentence);
                                                      });
                                  },
                              .stop = [stop] { return stop->load(); }};
        const auto settings = context->hub_settings();
        auto found = settings ? find_hub_model(context->store, {.model = reference, .settings = *settings}, watch)
                              : Result<StoredModel>(fail(settings.error()));
        boost::asio::post(context->loop, [this, context, order, on_order, stop, found = std::move(found)] {
          if (*stop) return;
          context->changed();  // a part more is here
          on_order(as_found(order, found));
        });
      });
}

Result<LoadModel> OriginDesk::as_found(LoadModel order, const Result<StoredModel>& found) const {
  if (!found) return fail(found.error());
  const ClusterView view = context_.view();
  const ModelInfo& info = found->info;
  if (const Placement* other = placement_of(view, info.name); other && other->fingerprint != info.fingerprint)
    return fail(Code::busy, "[app] another model is loaded under the name {}; unload it first", info.name);
  order.model = info.name;
  order.fingerprint = info.fingerprint;
  order.origin = found->origin;
  return order;
}

void OriginDesk::search(const std::string& text, std::function<void(json)> on_found) {
  json models = short_names_like(text);
  if (text.empty() || text.size() > searched_bytes_max) return on_found({{"models", models}});
  context_.asks.post([context = &context_, text, models = std::move(models), on_found, stop = stop_]() mutable {
    json body{{"models", std::move(models)}};
    const auto settings = context->hub_settings();
    if (!settings) {
      body["note"] = without_room(settings.error().message);
    } else if (settings->offline) {
      body["note"] = "HF_HUB_OFFLINE is set: the hub was not asked";
    } else {
      const auto found = ask_hub(*settings, text, [stop] { return stop->load(); });
      if (!found) body["note"] = without_room(found.error().message);
      for (const std::string& repository : found.value_or(std::vector<std::string>()))
        body["models"].push_back({{"name", repository}, {"repository", repository}, {"kind", "hub"}});
    }
    boost::asio::post(context->loop, [body = std::move(body), on_found, stop] {
      if (!*stop) on_found(body);
    });
  });
}

}  // namespace flotilla
