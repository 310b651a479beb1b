// Finds the ring that answers soonest: which units (a machine, or a tensor group of machines), in which order, with how
// many layers each. Knows numbers only. Pure. In: SearchProblem.  Out: the plan of the least judged time, or none.
// Thread: any.
//
// Up to exact_units_max units every subset is considered, and left aside only where a bound from below shows that it
// cannot win; of more units, the promising ones (shortlist.h). Rounded where fleets and models are large (search.cc,
// stage_order.h): how many sets are looked at closely, which of more than six stages may be the head and how many
// orders around slow wires are tried, the trade between prompt and answer, the order of more than eight stages. And
// where a prompt waits for pieces under way to come back, order and division are those that would be best if it did
// not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace flotilla {

inline constexpr std::size_t exact_units_max = 16;
// A plan of more machines must make the judged time so much shorter, and may let tokens come only so much later,
// however quick the prompt is: nobody buys a second machine to watch words come slower. With less than a hop of a small
// model costs (3 to 5 % of its token), a second machine that halves the prompt would be left idle.
inline constexpr double more_machines_gain = 0.10, more_machines_slower = 0.10;

struct SearchUnit {
  std::uint64_t machines = 0;                        // bits; units that share one exclude each other
  double layer_seconds = 0;                          // of one row and layer
  double head_seconds = 0;                           // of the output head, were it here
  std::uint32_t capacity = 0, capacity_as_head = 0;  // layers; 0 as head: it cannot be
  double piece_layer_seconds = 0;                    // of a layer and one piece of the prompt
  double preference = 1;                             // factor on the judged time where it is the head; at most 1
};

// A prompt is read in pieces, each on its way through the stages behind the one before.
struct PromptPieces {
  double count = 1;
  std::vector<std::vector<double>> hop_seconds;   // [from][to] of one piece
  std::vector<std::vector<double>> wire_seconds;  // [from][to], so long it keeps the wire from the next one
  // A ring has a piece for each stage under way, and so many more. One at a time on a single machine. With long ways
  // a head has none more at first and in its second prompt as many as help (scheduler/flight_window.h): this is between.
  double more_under_way = 1.5;
};

struct SearchProblem {
  std::uint32_t layer_count = 0;
  double answer_tokens = 256;
  double gain = more_machines_gain;
  std::vector<SearchUnit> units;
  std::vector<std::vector<double>> hop_seconds;  // [from][to] of one row
  PromptPieces prompt;
};

struct FoundPlan {
  std::vector<std::size_t> ring;      // units, the head first
  std::vector<std::uint32_t> layers;  // of each
  double token_seconds = 0;           // between tokens of one answer
  double prompt_seconds = 0;          // until the first token
  double judged_seconds = 0;          // prompt and answer, times the head's preference
};

// The best plan of any number of machines; a larger number only where its best is `gain` better than that of the
// smaller and its tokens are not slower by more than more_machines_slower. Empty where nothing holds all layers.
std::optional<FoundPlan> find_plan(const SearchProblem& problem);

// What a given division would take. The return to the head carries one row, as wide as any other hop.
FoundPlan judge(const SearchProblem& problem, std::vector<std::size_t> ring, std::vector<std::uint32_t> layers);

// The best division of these units, and their best order behind the best head, whatever fewer of them would do.
std::optional<FoundPlan> best_of_set(const SearchProblem& problem, const std::vector<std::size_t>& units);

// The best division of a ring whose order is given.
std::optional<FoundPlan> divide_in_order(const SearchProblem& problem, const std::vector<std::size_t>& ring);

// The same problem with these units only, in this order.
SearchProblem only(const SearchProblem& problem, const std::vector<std::size_t>& kept);

// Where every hop costs access[from] + access[to], order is nothing and each unit a fixed charge: the least
// token_seconds by dynamic programming over (units by speed, layers left), for any number of units of one machine each.
std::optional<FoundPlan> plan_on_switch(const SearchProblem& problem, const std::vector<double>& access);

}  // namespace flotilla
