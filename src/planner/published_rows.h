// Published results, and the constants that the planner reads off them for machines nobody has here. Pure.
// Four rows fix four constants: calibrate() is run by a test, which holds imagined_fleet.h to what comes out.
#pragma once

#include <string>
#include <vector>

#include "model/described_model.h"
#include "planner/imagined_fleet.h"

namespace flotilla {

ModelDescription qwen3_235b(double bits);
ModelDescription deepseek_v3(double bits);
ModelDescription dense_27b(double bits);

struct PublishedRate {
  std::uint32_t machines = 1;
  double tokens_per_second = 0;
};

// Equal machines, one user.
struct PublishedRow {
  std::string name, source;
  ModelDescription model;
  ImaginedMachine machine;
  ImaginedLink link;
  bool in_group = false;             // all compute each layer together; else a pipeline of equal parts
  std::vector<PublishedRate> rates;  // the first of one machine
};

const std::vector<PublishedRow>& calibration_rows();

struct PublishedConstants {
  double mac_bandwidth = 0, other_bandwidth = 0;  // fractions of the nominal one
  double switch_hop_seconds = 0, cable_hop_seconds = 0;
  double experts_whole_share = 0;
};

PublishedConstants calibrate(const std::vector<PublishedRow>& rows);

}  // namespace flotilla
