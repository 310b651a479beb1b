#include "app/top.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <print>
#include <thread>

#include "app/api_client.h"
#include "app/client_key.h"
#include "app/exit_codes.h"
#include "app/interrupt.h"
#include "app/terminal.h"
#include "app/top_view.h"
#include "base/words.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto answer_patience = 5s;
constexpr std::string_view enter_screen = "\x1b[?1049h\x1b[?25l", leave_screen = "\x1b[?25h\x1b[?1049l",
                           to_top = "\x1b[H", rest_of_line = "\x1b[K\n", rest_of_screen = "\x1b[J";

// Another screen, as editors have one: what was there comes back afterwards.
class Screen {
 public:
  explicit Screen(bool enabled) : enabled_(enabled) { say(enter_screen); }
  ~Screen() { say(leave_screen); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

 private:
  void say(std::string_view what) const {
    if (!enabled_) return;
    std::print("{}", what);
    std::fflush(stdout);
  }
  const bool enabled_;
};

// As many characters as fit, however many bytes.
std::string_view cut(std::string_view line, std::size_t columns) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if ((static_cast<unsigned char>(line[i]) & 0xC0) == 0x80) continue;
    if (characters++ == columns) return line.substr(0, i);
  }
  return line;
}

// Line by line over what was there: a screen that is cleared first flickers.
void redraw(std::string_view text) {
  const std::size_t columns = terminal_columns(STDOUT_FILENO);
  std::string out(to_top);
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    out += cut(text.substr(0, end), columns);
    out += rest_of_line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out += rest_of_screen;
  std::print("{}", out);
}

// False where Ctrl-C came meanwhile.
bool wait_for(std::chrono::milliseconds time) {
  for (const auto until = Clock::now() + time; Clock::now() < until && !interrupted();)
    std::this_thread::sleep_for(std::min<Clock::duration>(until - Clock::now(), 50ms));
  return !interrupted();
}

Status look(ApiClient& client, TopView& view, double at) {
  FLOTILLA_TRY(const auto cluster, client.get("/cluster"));
  FLOTILLA_TRY(const auto placements, client.get("/placements"));
  view.take(cluster, placements, at);
  return {};
}

void show(const TopOptions& options, const TopView& view, bool on_screen) {
  if (options.verb.json)
    std::println("{}", view.state().dump());
  else if (on_screen)
    redraw(std::format("{}   (Ctrl-C ends)\n\n{}", options.verb.api_url, view.text()));
  else
    std::println("{}", view.text());
  std::fflush(stdout);
}

}  // namespace

int watch_fleet(const TopOptions& options) {
  ApiClient client(options.verb.api_url, client_key(options.verb));
  client.give_up_after(answer_patience);
  const InterruptGuard guard;
  TopView view;
  const auto began = Clock::now();
  const auto now = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  if (const auto looked = look(client, view, now()); !looked) return report(looked.error());
  if (options.once) {  // a rate needs two looks
    if (!wait_for(options.interval)) return exit_interrupted;
    if (const auto looked = look(client, view, now()); !looked) return report(looked.error());
    show(options, view, false);
    return 0;
  }
  const bool on_screen = is_terminal(STDOUT_FILENO) && !options.verb.json;
  const Screen screen(on_screen);
  bool answers = true;
  do {
    show(options, view, on_screen);
    if (std::ferror(stdout) != 0) return 0;  // whoever read it has gone
    if (!wait_for(options.interval)) break;
    const auto looked = look(client, view, now());
    if (!looked && std::exchange(answers, false)) view.note(std::string(without_room(looked.error().message)), now());
    if (looked) answers = true;
  } while (true);
  return 0;
}

}  // namespace flotilla
