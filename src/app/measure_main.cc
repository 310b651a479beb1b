#include "app/measure_main.h"

#include <fcntl.h>
#include <sys/file.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "app/child.h"
#include "engine/machine_rates.h"
#include "io/tcp_link.h"
#include "wire/control.h"

namespace flotilla {
namespace {

constexpr auto turn_interval = std::chrono::milliseconds(50);
constexpr int turn_polls_max = 1200;  // a minute; whoever measures longer hangs

// Two measurements of one machine at the same time would halve each other: several nodes of a machine take turns. Where
// the file cannot be had, they do not.
Descriptor wait_for_turn() {
  std::error_code ignored;
  const auto path = std::filesystem::temp_directory_path(ignored) / "flotilla-measure.lock";
  Descriptor turn(::open(path.c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444));
  for (int i = 0; turn && i < turn_polls_max && ::flock(turn.get(), LOCK_EX | LOCK_NB) != 0; ++i)
    std::this_thread::sleep_for(turn_interval);
  return turn;
}

NodeInfo info_with(MachineRates rates) {
  NodeInfo info;
  info.id = random_node_id();
  info.name = "measure";
  info.version = "0";
  info.devices = {{.kind = "CPU"}};
  info.rates = std::move(rates);
  return info;
}

}  // namespace

int measure_main(const MeasureMainOptions& options) {
  begin_as_child();
  const auto link = make_tcp_link(Descriptor(options.fd));
  // The node hangs up when something better is to be done with the cores.
  std::thread([&link] {
    Frame frame;
    while (link->receive(frame, for_ever)) {
    }
    std::_Exit(1);
  }).detach();
  [[maybe_unused]] const Descriptor turn = wait_for_turn();
  MeasureOptions measure{.cores = options.cores, .types = options.types, .scratch = options.scratch};
  if (options.shards > 0) measure.division = CoreDivision{options.shards, options.cores / options.shards};
  auto rates = measure_machine(measure, [&](const std::string& text, std::uint32_t done, std::uint32_t total) {
    (void)link->send(make_frame(FrameKind::load_progress, encode(LoadProgress{0, text, done, total})));
  });
  const bool is_measured = rates.has_value();
  if (is_measured) {
    (void)link->send(make_frame(FrameKind::node_info, encode(info_with(*std::move(rates)))));
  } else {
    const Error& error = rates.error();
    (void)link->send(make_frame(FrameKind::stage_failed, encode(StageFailed{.code = std::string(to_string(error.code)),
                                                                            .message = error.message})));
  }
  // Not through exit(): the thread above still looks at the link.
  std::_Exit(is_measured ? 0 : 1);
}

}  // namespace flotilla
