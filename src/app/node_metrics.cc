#include "app/node_metrics.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "app/fleet.h"
#include "app/version.h"
#include "wire/frame.h"

namespace flotilla {
namespace {

using Kind = MetricsText::Kind;

bool is_member(const Member& member) { return member.state != MemberState::seen; }

bool is_up(const Member& member) { return member.state == MemberState::self || member.state == MemberState::joined; }

template <class Value>
void per_member(MetricsText& text, const ClusterView& view, std::string_view name, std::string_view help,
                const Value& value) {
  text.family(name, Kind::gauge, help);
  for (const Member& member : view.members)
    if (is_member(member)) text.sample(static_cast<double>(value(member)), {{"node", member.info.name}});
}

void write_links(MetricsText& text, const ClusterView& view) {
  const auto& links = view.self().info.links;
  text.family("flotilla_link_rtt_seconds", Kind::gauge,
              "Round trip of a small message from this machine, as measured.");
  for (const LinkRate& link : links)
    if (view.find(link.peer)) text.sample(2 * link.latency_seconds, {{"node", name_of(view, link.peer)}});
  text.family("flotilla_link_bytes_per_second", Kind::gauge, "What the link from this machine carries, as measured.");
  for (const LinkRate& link : links)
    if (view.find(link.peer)) text.sample(link.bytes_per_second, {{"node", name_of(view, link.peer)}});
}

// One machine's part of one stage of a placement headed here.
struct Part {
  const Placement& placement;
  std::string stage, node;
  const StageStats& stats;
  bool is_head = false;
};

std::vector<Part> parts_of(const ClusterView& view, const StatsOf& stats_of) {
  std::vector<Part> parts;
  for (const Placement& placement : view.self().info.placements) {
    const StatsPerStage* stats = stats_of(placement.id);
    for (std::size_t i = 0; stats && i < std::min(stats->size(), placement.stages.size()); ++i)
      for (std::size_t j = 0; j < std::min((*stats)[i].size(), placement.stages[i].nodes.size()); ++j)
        parts.push_back({placement, std::to_string(i), name_of(view, placement.stages[i].nodes[j]), (*stats)[i][j],
                         i == 0 && j == 0});
  }
  return parts;
}

void write_parts(MetricsText& text, const std::vector<Part>& parts) {
  struct Column {
    const char *name, *help;
    double (*value)(const StageStats&);
  };
  static constexpr std::array<Column, 7> columns{{
      {"flotilla_stage_steps_total", "Steps that a machine computed of a stage.",
       [](const StageStats& stats) { return static_cast<double>(stats.steps); }},
      {"flotilla_stage_rows_total", "Rows in these steps: tokens of prompts and answers.",
       [](const StageStats& stats) { return static_cast<double>(stats.rows); }},
      {"flotilla_stage_compute_seconds_total", "Time it computed, exchanges within the stage included.",
       [](const StageStats& stats) { return stats.compute_seconds; }},
      {"flotilla_stage_wait_seconds_total", "Time it had nothing to compute while the ring was at work.",
       [](const StageStats& stats) { return stats.wait_seconds; }},
      {"flotilla_stage_exchange_seconds_total", "Time it waited for other members of its stage.",
       [](const StageStats& stats) { return stats.exchange_seconds; }},
      {"flotilla_activation_messages_total", "Messages with activations to the next stage and to other members.",
       [](const StageStats& stats) { return static_cast<double>(stats.sent_messages); }},
      {"flotilla_activation_bytes_total", "Bytes of these messages.",
       [](const StageStats& stats) { return static_cast<double>(stats.sent_bytes); }},
  }};
  for (const Column& column : columns) {
    text.family(column.name, Kind::counter, column.help);
    for (const Part& part : parts)
      text.sample(column.value(part.stats),
                  {{"model_name", part.placement.model}, {"stage", part.stage}, {"node", part.node}});
  }
}

// What a head alone knows.
void write_queues(MetricsText& text, const std::vector<Part>& parts) {
  const auto family = [&](const char* name, Kind kind, const char* help, auto value) {
    text.family(name, kind, help);
    for (const Part& part : parts)
      if (part.is_head) text.sample(static_cast<double>(value(part.stats)), {{"model_name", part.placement.model}});
  };
  family("flotilla_num_requests_running", Kind::gauge, "Sequences being computed, of models headed here.",
         [](const StageStats& stats) { return stats.running; });
  family("flotilla_num_requests_waiting", Kind::gauge, "Sequences waiting for a slot, of models headed here.",
         [](const StageStats& stats) { return stats.queued; });
  family("flotilla_tokens_sampled_total", Kind::counter, "Tokens that the head of a placement sampled.",
         [](const StageStats& stats) { return stats.tokens; });
}

void write_sizes(MetricsText& text, const ClusterView& view) {
  struct Column {
    const char *name, *help;
    std::uint64_t PlacedStage::* bytes;
  };
  static constexpr std::array<Column, 3> columns{
      {{"flotilla_weight_bytes", "Memory that a stage's weights take.", &PlacedStage::weight_bytes},
       {"flotilla_kv_bytes", "Memory that a stage's KV cache takes.", &PlacedStage::kv_bytes},
       {"flotilla_compute_bytes", "Memory that a stage computes in.", &PlacedStage::compute_bytes}}};
  for (const Column& column : columns) {
    text.family(column.name, Kind::gauge, column.help);
    for (const Placement& placement : view.self().info.placements)
      for (std::size_t i = 0; i < placement.stages.size(); ++i)
        text.sample(static_cast<double>(placement.stages[i].*column.bytes),
                    {{"model_name", placement.model}, {"stage", std::to_string(i)}});
  }
}

}  // namespace

void write_fleet(MetricsText& text, const ClusterView& view) {
  text.family("flotilla_build_info", Kind::gauge, "1; which release this is, and its protocol.");
  text.sample(1, {{"version", flotilla_version}, {"protocol", std::to_string(protocol_version)}});
  per_member(text, view, "flotilla_node_up", "1 for members of the fleet that answer, 0 for those that are silent.",
             is_up);
  per_member(text, view, "flotilla_node_memory_bytes", "Memory that a machine offers to models.",
             [](const Member& member) { return member.info.memory_bytes; });
  per_member(text, view, "flotilla_node_memory_free_bytes", "Of that, what no model takes.",
             [](const Member& member) { return member.info.memory_free_bytes; });
  per_member(text, view, "flotilla_node_on_battery", "1 where a machine runs on its battery.",
             [](const Member& member) { return member.info.on_battery; });
  text.gauge("flotilla_nodes_joined", "Machines of the fleet that answer, this one included.",
             static_cast<double>(std::ranges::count_if(view.members, is_up)));
  text.gauge("flotilla_nodes_seen", "Machines on this network that are no members.",
             static_cast<double>(std::ranges::count(view.members, MemberState::seen, &Member::state)));
  text.family("flotilla_requests_waiting_for_reload", Kind::gauge,
              "Requests that entered at this node and wait for a model that was lost.");
  for (const WaitingRequests& waiting : view.self().info.waiting)
    text.sample(waiting.requests, {{"model_name", waiting.model}});
  write_links(text, view);
}

void write_placements(MetricsText& text, const ClusterView& view, const StatsOf& stats_of) {
  const auto& placements = view.self().info.placements;
  text.family("flotilla_placements", Kind::gauge, "Placements headed here, by state.");
  for (const auto state :
       {PlacementState::loading, PlacementState::ready, PlacementState::failed, PlacementState::unloading})
    text.sample(static_cast<double>(std::ranges::count(placements, state, &Placement::state)),
                {{"state", to_string(state)}});
  text.family("flotilla_placement_epoch", Kind::gauge, "Counter of a placement's epoch: grows with each new one.");
  for (const Placement& placement : placements)
    text.sample(static_cast<double>(placement.epoch.counter), {{"model_name", placement.model}});
  write_sizes(text, view);
  const auto parts = parts_of(view, stats_of);
  write_queues(text, parts);
  write_parts(text, parts);
}

void write_tallies(MetricsText& text, const HeadTally& heads, const ResumeTally& resumes, const PeerTally& peers) {
  const auto counter = [&](const char* name, const char* help, std::uint64_t value) {
    text.counter(name, help, static_cast<double>(value));
  };
  counter("flotilla_members_lost_total", "Machines that left the fleet or fell silent.", peers.lost);
  counter("flotilla_placements_begun_total", "Placements that this node began to head; each has a new epoch.",
          heads.begun);
  text.family("flotilla_failovers_total", Kind::counter, "Placements headed here that were lost, by the error's code.");
  for (const auto& [cause, count] : heads.lost) text.sample(static_cast<double>(count), {{"cause", cause}});
  counter("flotilla_requests_resumed_total", "Requests of this node that were sent to another placement.",
          resumes.requests);
  counter("flotilla_replayed_tokens_total", "Tokens of these that had to be read again.", resumes.tokens);
  text.family("flotilla_control_bytes_total", Kind::counter,
              "Bytes of control frames between this node and others; activations are counted by stage.");
  text.sample(static_cast<double>(peers.sent_bytes), {{"direction", "sent"}});
  text.sample(static_cast<double>(peers.received_bytes), {{"direction", "received"}});
  text.family("flotilla_model_load_seconds", Kind::histogram, "From an order to load to a model that is ready.");
  text.sample(heads.load_seconds);
}

void write_process(MetricsText& text, double started_seconds) {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  text.gauge("process_start_time_seconds", "When this node started, in seconds since 1970.", started_seconds);
  text.counter("process_cpu_seconds_total", "Processor time of the node; its runners have processes of their own.",
               seconds(use.ru_utime) + seconds(use.ru_stime));
}

}  // namespace flotilla
