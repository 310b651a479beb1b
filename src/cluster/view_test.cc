// Claims about the table people see.
#include "cluster/view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "cluster/printable.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

Member machine(const std::string& name, const std::string& device, std::uint64_t free_bytes, const std::string& kind) {
  Member member;
  member.info.id = random_node_id();
  member.info.name = name;
  member.info.memory_free_bytes = free_bytes;
  member.info.devices = {{.kind = kind, .description = device, .threads = 8, .memory_bytes = free_bytes}};
  member.state = MemberState::joined;
  return member;
}

ClusterView three_machines() {
  ClusterView view;
  view.members = {machine("studio", "M2 Ultra", 118 * gib, "Metal"), machine("laptop", "i7", 31 * gib, "CPU"),
                  machine("office-7", "Ryzen 9", 52 * gib, "CPU")};
  view.members[0].state = MemberState::self;
  return view;
}

TEST(Table, ThreeMachinesAreJoinedByABracket) {
  EXPECT_EQ(draw_table(three_machines(), "http://localhost:52415"),
            " studio    M2 Ultra  118 GiB free   Metal  ─┐\n"
            " laptop    i7         31 GiB free   CPU    ─┼─ 3 machines, 201 GiB together\n"
            " office-7  Ryzen 9    52 GiB free   CPU    ─┘   http://localhost:52415\n");
}

TEST(Table, OneAndTwoMachinesHaveTheirForms) {
  auto view = three_machines();
  view.members.resize(2);
  EXPECT_EQ(draw_table(view, "URL"),
            " studio  M2 Ultra  118 GiB free   Metal  ─┬─ 2 machines, 149 GiB together\n"
            " laptop  i7         31 GiB free   CPU    ─┘   URL\n");
  view.members.resize(1);
  EXPECT_EQ(draw_table(view, "URL"), " studio  M2 Ultra  118 GiB free   Metal  ─── 1 machine, 118 GiB   URL\n");
}

TEST(Table, MachinesMerelySeenAreListedWithTheReasonAndDoNotCount) {
  auto view = three_machines();
  view.members[2].state = MemberState::seen;
  view.members[2].reason = "started without --trust-lan or --cluster-secret";
  view.members[1].state = MemberState::suspect;
  const auto table = draw_table(view, "URL");
  EXPECT_THAT(table, HasSubstr("2 machines, 149 GiB together"));
  EXPECT_THAT(table, HasSubstr("\n office-7  seen, not joined: started without --trust-lan or --cluster-secret\n"));
  EXPECT_THAT(table, HasSubstr("31 GiB free   silent"));
}

TEST(Table, WideLettersKeepTheColumnsAligned) {
  auto view = three_machines();
  view.members[1].info.name = "研究室";
  const auto table = draw_table(view, "URL");
  EXPECT_THAT(table, HasSubstr(" studio    M2"));
  EXPECT_THAT(table, HasSubstr(" 研究室    i7"));
}

TEST(Table, TextFromPeersCannotCommandTheTerminal) {
  auto view = three_machines();
  view.members[1].info.name = "evil\x1b[2J\nname\xff";
  EXPECT_THAT(draw_table(view, "URL"), HasSubstr(" evil?[2J?name?  "));
  EXPECT_EQ(printable("a\u202Eb\xc2\x85"), "a?b?");
  EXPECT_EQ(columns_of("é研"), 3u);
}

TEST(View, FindsByIdAndByTheNameOfWhoeverOwnsIt) {
  auto view = three_machines();
  auto impostor = machine("laptop", "", 0, "");
  impostor.state = MemberState::seen;
  view.members.insert(view.members.begin() + 1, impostor);
  EXPECT_EQ(view.find("laptop")->state, MemberState::joined);
  EXPECT_EQ(view.find(impostor.info.id)->state, MemberState::seen);
  EXPECT_EQ(view.find("nobody"), nullptr);
  EXPECT_EQ(view.self().info.name, "studio");
}

}  // namespace
}  // namespace flotilla
