#include "cluster/view.h"

#include <algorithm>
#include <format>

#include "base/units.h"
#include "cluster/printable.h"

namespace flotilla {
namespace {

// Text from a machine, printable, and the columns it takes on a terminal.
struct Cell {
  std::string text;
  std::size_t columns = 0;
};

Cell make_cell(std::string_view raw) {
  Cell cell{.text = printable(raw)};
  cell.columns = columns_of(cell.text);
  return cell;
}

std::string padded(const Cell& cell, std::size_t columns, bool right = false) {
  const std::string space(columns - std::min(columns, cell.columns), ' ');
  return right ? space + cell.text : cell.text + space;
}

struct Row {
  Cell name, device, memory, kind;
};

Row make_row(const Member& member) {
  Row row{.name = make_cell(member.info.name), .device = {}, .memory = {}, .kind = {}};
  if (!member.info.devices.empty()) {
    row.device = make_cell(member.info.devices.front().description);
    row.kind = make_cell(member.info.devices.front().kind);
  }
  row.memory = make_cell(format_bytes(member.info.memory_free_bytes) + " free");
  if (member.state == MemberState::suspect) row.kind = make_cell("silent");
  return row;
}

// The bracket that joins the rows, with the sum beside its middle and the address beside its end.
std::string margin(std::size_t index, std::size_t count, const std::string& sum, std::string_view api_url) {
  if (count == 1) return std::format("─── {}   {}", sum, api_url);
  const std::size_t middle = (count - 1) / 2;
  const bool first = index == 0, last = index + 1 == count;
  if (index == middle) return std::format("{} {}", first ? "─┬─" : "─┼─", sum);
  if (last) return std::format("─┘   {}", api_url);
  return first ? "─┐" : "─┤";
}

}  // namespace

std::string_view to_string(MemberState state) {
  switch (state) {
    case MemberState::self:
      return "self";
    case MemberState::joined:
      return "joined";
    case MemberState::suspect:
      return "suspect";
    case MemberState::seen:
      return "seen";
  }
  return "seen";
}

const Member* ClusterView::find(const NodeId& id) const {
  const auto found = std::ranges::find(members, id, [](const Member& member) { return member.info.id; });
  return found == members.end() ? nullptr : &*found;
}

const Member* ClusterView::find(std::string_view name) const {
  const Member* seen = nullptr;  // a machine refused for its name must not hide the one that owns it
  for (const auto& member : members) {
    if (member.info.name != name) continue;
    if (member.state != MemberState::seen) return &member;
    seen = &member;
  }
  return seen;
}

std::string draw_table(const ClusterView& view, std::string_view api_url) {
  std::vector<Row> rows;
  std::string seen;
  std::uint64_t free_bytes = 0;
  for (const auto& member : view.members) {
    if (member.state == MemberState::seen) {
      seen +=
          std::format(" {}  seen, not joined: {}\n", make_cell(member.info.name).text, make_cell(member.reason).text);
      continue;
    }
    rows.push_back(make_row(member));
    free_bytes += member.info.memory_free_bytes;
  }
  const auto widest = [&](Cell Row::* column) {
    std::size_t columns = 0;
    for (const auto& row : rows) columns = std::max(columns, (row.*column).columns);
    return columns;
  };
  const auto name = widest(&Row::name), device = widest(&Row::device), memory = widest(&Row::memory),
             kind = widest(&Row::kind);
  const auto sum = std::format("{} machine{}, {}{}", rows.size(), rows.size() == 1 ? "" : "s", format_bytes(free_bytes),
                               rows.size() == 1 ? "" : " together");
  std::string out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    out += std::format(" {}  {}  {}   {}  {}\n", padded(row.name, name), padded(row.device, device),
                       padded(row.memory, memory, true), padded(row.kind, kind), margin(i, rows.size(), sum, api_url));
  }
  return out + seen;
}

}  // namespace flotilla
