// The machines that measured themselves, as the search sees them: each alone and in tensor groups, what a layer costs
// there, how many it holds. Plans by time, and says what each machine left out would have brought. Pure.
// In: candidates, workload, wishes.  Out: TimedPlan, figures, sentences.  Thread: any. One plan an object: each way to
// one adds the groups it needs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/capacity.h"
#include "planner/cost.h"
#include "planner/link_table.h"
#include "planner/planner.h"
#include "planner/search.h"

namespace flotilla {

// Of a prompt that is read alone, as scheduler/chunk_size.h divides it.
inline constexpr double prompt_piece_rows = 64;

// What stands in the ring at one place: a machine, or a group of machines that compute each layer together.
struct PlannedUnit {
  std::vector<std::size_t> members;  // candidates, the first of them in the ring
  std::vector<StagePart> parts;      // of each
};

struct TimedPlan {
  std::vector<PlannedUnit> units;
  std::vector<LayerRange> ranges;
  FoundPlan figures;                 // its ring counts units of the fleet
  std::optional<FoundPlan> for_one;  // where layers are divided otherwise, for many answers: as one user would have it
  const FoundPlan& searched() const { return for_one ? *for_one : figures; }
};

class TimedFleet {
 public:
  // All candidates are measured. Borrows them and `work`, for its lifetime.
  TimedFleet(const std::vector<Candidate>& candidates, const Workload& work, const PlanWishes& wishes);

  std::optional<TimedPlan> choose();    // freely, by the wishes' mode and head
  std::optional<TimedPlan> in_order();  // all of them, as they stand, the first as head
  std::optional<TimedPlan> together();  // all of them as one group, the first of them first
  // A division made otherwise.
  TimedPlan as_divided(std::vector<PlannedUnit> ring, const std::vector<LayerRange>& ranges);

  double stage_token_seconds(const TimedPlan& plan, std::size_t stage) const;
  // The whole way round, of steps of 1, 2, 4 … step_rows_foretold rows of answers.
  std::vector<double> step_seconds(const TimedPlan& plan) const;
  std::string why_left_out(const TimedPlan& plan, std::size_t candidate) const;
  // Links that were assumed, and that many answers at a time were planned for.
  std::vector<std::string> notes(const TimedPlan& plan) const;

 private:
  void add_machines();
  void add_groups();
  bool add_group(std::vector<std::size_t> members, bool is_first_fixed);
  void add_unit(PlannedUnit unit, Candidate candidate);
  double piece_rows() const { return wishes_.use.prompt_tokens / problem_.prompt.count; }
  void price_hops();
  std::vector<SharedWork> work_shared_by(const PlannedUnit& unit) const;
  struct AnsweringSeconds {
    double layer = 0, head = 0;
  };
  AnsweringSeconds answering_seconds(const PlannedUnit& unit, double rows) const;  // of a step of so many rows
  std::vector<std::uint32_t> layers_for_many(const std::vector<std::size_t>& ring) const;
  std::vector<std::size_t> island_of(std::size_t seed) const;
  std::optional<TimedPlan> settled(const std::optional<FoundPlan>& found) const;

  const std::vector<Candidate>& candidates_;
  const Workload& work_;
  const PlanWishes& wishes_;
  const ModelCost cost_;
  const LinkTable links_;
  std::vector<double> token_layer_seconds_;  // of each candidate alone
  std::vector<PlannedUnit> units_;           // the candidates first, each alone, in their order
  std::vector<Candidate> holders_;           // of each unit, for dividing layers
  SearchProblem problem_;
};

}  // namespace flotilla
