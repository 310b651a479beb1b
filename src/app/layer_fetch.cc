#include "app/layer_fetch.h"

#include <algorithm>
#include <format>

#include "app/fleet.h"
#include "base/log.h"
#include "base/units.h"
#include "base/words.h"

namespace flotilla {
namespace {

FileRanges from_wire(const std::vector<ByteRange>& ranges) {
  FileRanges out;
  for (const ByteRange& range : ranges)
    out.push_back({.file_index = range.file_index, .offset = range.offset, .bytes = range.bytes});
  return out;
}

bool has_some(const Member& member, const std::string& fingerprint) {
  return std::ranges::contains(member.info.models, fingerprint, &ModelInfo::fingerprint);
}

bool has_all(const Member& member, const std::string& fingerprint) {
  return std::ranges::any_of(
      member.info.models, [&](const ModelInfo& model) { return model.fingerprint == fingerprint && model.complete; });
}

void warn(const std::string& sentence) { log(LogLevel::warning, "app", "{}", without_room(sentence)); }

GatherOrder gather_order(NodeContext& context, const PrepareStage& order, std::shared_ptr<Part> part) {
  GatherOrder gathering{.part = std::move(part), .settings = context.hub_settings, .on_note = warn};
  gathering.wanted = stage_keeps(*gathering.part->gguf(), order.layers, order.is_head);
  gathering.downloads = common(from_wire(order.downloads), gathering.wanted);
  return gathering;
}

Status gather_and_tell(NodeContext& context, const GatherOrder& order, const std::atomic<bool>& stop) {
  FLOTILLA_TRY(const Gathered gathered, gather(order, stop));
  if (gathered.hub_bytes + gathered.neighbour_bytes > 0)
    log(LogLevel::info, "app", "{} has its layers of {}: {} from the hub, {} from other machines",
        context.identity.name, order.part->gguf()->name(), format_bytes(gathered.hub_bytes),
        format_bytes(gathered.neighbour_bytes));
  return {};
}

// All of the file is here: it is compared with what the hub announced, and becomes a model like one that was pulled.
// What was wrong in it cannot be told, so all of it is fetched once more, and from the hub.
Status settle(NodeContext& context, GatherOrder order, const std::atomic<bool>& stop) {
  auto checked = check_whole(*order.part, stop);
  if (!checked && checked.error().code == Code::corrupt) {
    warn(checked.error().message);
    order.downloads = order.wanted;
    order.neighbours.clear();
    FLOTILLA_TRY_STATUS(gather_and_tell(context, order, stop));
    checked = check_whole(*order.part, stop);
    // Its header may be what is wrong: the next load takes that anew too.
    if (!checked && checked.error().code == Code::corrupt)
      if (const auto dropped = context.store.drop_part(order.part->gguf()->fingerprint()); !dropped)
        warn(dropped.error().message);
  }
  if (!checked) return checked;
  if (const auto published = publish_whole(context.store, *order.part, HubCache(hub_cache_folder()), stop); !published)
    warn(std::format("{} stays a part of this node's home: {}", order.part->gguf()->name(), published.error().message));
  return {};
}

Result<StoredModel> bring(NodeContext& context, const PrepareStage& order, const std::vector<Neighbour>& neighbours,
                          const FetchProgressFn& progress, const std::atomic<bool>& stop) {
  const auto part = context.store.part(order.fingerprint);
  if (!part) return context.store.find(order.model, order.fingerprint);
  FLOTILLA_TRY_STATUS(part->set_origin(order.origin));
  GatherOrder gathering = gather_order(context, order, part);
  gathering.neighbours = neighbours;
  gathering.progress = progress;
  // Bytes kept from an earlier time are read once more before they are trusted.
  FLOTILLA_TRY_STATUS(context.store.verify(order.fingerprint, gathering.wanted));
  FLOTILLA_TRY_STATUS(gather_and_tell(context, gathering, stop));
  FLOTILLA_TRY(const StoredModel stored, context.store.find(order.model, order.fingerprint));
  if (stored.is_part && stored.info.complete) FLOTILLA_TRY_STATUS(settle(context, gathering, stop));
  return context.store.find(order.model, order.fingerprint);
}

}  // namespace

bool comes_from_hub(const PrepareStage& order, const StoredModel& stored) {
  return stored.is_part && order.origin.is_known() && order.source == NodeId{};
}

std::vector<Neighbour> neighbours_of(NodeContext& context, const ClusterView& view, const PrepareStage& order) {
  std::vector<Neighbour> neighbours;
  for (const Member& member : view.members) {
    const bool takes_part = std::ranges::contains(order.others, member.info.id);
    if (member.state != MemberState::joined || !(takes_part || has_some(member, order.fingerprint))) continue;
    neighbours.push_back({.name = member.info.name,
                          .is_whole = has_all(member, order.fingerprint),
                          .connect = [&context, node = member.info.id, host = member.host,
                                      port = member.info.cluster_port] { return context.bulk(node, host, port); }});
  }
  return neighbours;
}

Result<StoredModel> bring_from_hub(NodeContext& context, const PrepareStage& order, const StoredModel& stored,
                                   const std::vector<Neighbour>& neighbours, const FetchProgressFn& progress,
                                   const std::atomic<bool>& stop) {
  auto brought = bring(context, order, neighbours, progress, stop);
  if (brought || brought.error().code == Code::cancelled) return brought;
  return fail(brought.error().code,
              "[app] {} could not get its layers of {}: {}. What has come stays: the same load goes on from there",
              context.identity.name, stored.info.name, without_room(brought.error().message));
}

}  // namespace flotilla
