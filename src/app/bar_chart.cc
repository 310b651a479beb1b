#include "app/bar_chart.h"

#include <algorithm>
#include <format>
#include <string_view>

namespace flotilla {
namespace {

// Pixels. A README shows a picture at most some 800 wide.
constexpr int width = 760, margin = 24, label_width = 170, gain_width = 90, text_room = 84;
constexpr int bar_height = 16, bar_gap = 3, row_gap = 16, head_height = 112, line_height = 20;
constexpr int bars_left = margin + label_width, bars_right = width - margin - gain_width - text_room;
constexpr std::size_t sentence_columns = 98;  // characters that fit a line of the sentence

// A page's theme reaches a picture that stands in an <img> only through this media query.
constexpr std::string_view style = R"(<style>
  .page { fill: #ffffff; stroke: #d1d9e0; } .ink { fill: #1f2328; } .quiet { fill: #59636e; }
  .first { fill: #8c959f; } .second { fill: #0969da; }
  text { font: 14px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
  .title { font-size: 18px; font-weight: 600; } .small { font-size: 12px; } .strong { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d; } .ink { fill: #f0f6fc; } .quiet { fill: #9198a1; }
    .first { fill: #656c76; } .second { fill: #4493f8; }
  }
</style>
)";

// Names come from files and machines: whatever they hold, the picture stays well-formed. Control characters have no
// form in XML 1.0.
std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return safe;
}

std::string text_at(int x, int y, std::string_view classes, std::string_view text, std::string_view anchor = "start") {
  return std::format("<text x=\"{}\" y=\"{}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, classes, anchor,
                     escaped(text));
}

std::string bar_at(int y, std::string_view side, double share, std::string_view text) {
  if (text.empty()) return "";
  const double length = std::max(2.0, share * (bars_right - bars_left));
  return std::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\" class=\"{}\"/>\n", bars_left, y,
                     length, bar_height, side) +
         text_at(bars_left + static_cast<int>(length) + 6, y + bar_height - 3, "ink small", text);
}

std::string row_at(int y, const BarRow& row, int bars) {
  const double longest = std::max({row.first, row.second, 1e-12});
  const int height = bars * (bar_height + bar_gap) - bar_gap, middle = y + height / 2 + 5;
  std::string drawn = text_at(margin, middle, "ink", row.label);
  drawn += bar_at(y, "first", row.first / longest, row.first_text);
  if (bars > 1) drawn += bar_at(y + bar_height + bar_gap, "second", row.second / longest, row.second_text);
  return drawn + text_at(width - margin, middle, "ink strong", row.gain, "end");
}

std::string legend_at(int y, const BarChart& chart) {
  const auto entry = [y](int x, std::string_view side, std::string_view name) {
    return std::format("<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\" class=\"{}\"/>\n", x, y - 10,
                       side) +
           text_at(x + 18, y, "ink", name);
  };
  std::string drawn = entry(margin, "first", chart.first_name);
  if (!chart.second_name.empty()) drawn += entry(margin + width / 2, "second", chart.second_name);
  return drawn;
}

// At spaces; a longer word keeps its line.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines(1);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = std::min(text.find(' ', at), text.size());
    if (!lines.back().empty() && lines.back().size() + 1 + space - at > sentence_columns) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += text.substr(at, space - at);
    at = space + 1;
  }
  return lines;
}

}  // namespace

std::string draw_svg(const BarChart& chart) {
  const int bars = chart.second_name.empty() ? 1 : 2;
  std::string body = text_at(margin, 36, "ink title", chart.title) +
                     text_at(margin, 58, "quiet small", chart.subtitle) + legend_at(88, chart);
  int y = head_height;
  for (const BarRow& row : chart.rows) {
    body += row_at(y, row, bars);
    y += bars * (bar_height + bar_gap) - bar_gap + row_gap;
  }
  y += 12;
  for (const std::string& line : lines_of(chart.sentence)) {
    body += text_at(margin, y, "ink", line);
    y += line_height;
  }
  const int height = y + 4;
  return std::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
             "role=\"img\">\n<title>{2}</title>\n<desc>{3}</desc>\n",
             width, height, escaped(chart.title), escaped(chart.sentence)) +
         std::string(style) +
         std::format("<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" class=\"page\"/>\n", width - 1,
                     height - 1) +
         body + "</svg>\n";
}

}  // namespace flotilla
