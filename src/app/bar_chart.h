// Pairs of bars as an SVG picture for a README: legible on light and dark pages, no library, no script, no font of its
// own. Pure.
#pragma once

#include <string>
#include <vector>

namespace flotilla {

struct BarRow {
  std::string label, gain;              // "16 streams", "1.62 ×"
  double first = 0, second = 0;         // lengths; each row has a scale of its own
  std::string first_text, second_text;  // what stands at the ends of the bars; an empty one draws no bar
};

struct BarChart {
  std::string title, subtitle, sentence;
  std::string first_name, second_name;  // the two sides; an empty second one: there is only one
  std::vector<BarRow> rows;
};

std::string draw_svg(const BarChart& chart);

}  // namespace flotilla
