#include "app/load_request.h"

#include <optional>

#include "app/interrupt.h"
#include "app/json_fields.h"
#include "app/terminal.h"

namespace flotilla {

using nlohmann::json;

namespace {

// Machines that fetch at the same time are one bar together.
void show(ProgressBar& bar, const json& progress) {
  const json machines = progress.value("machines", json::array());
  if (!machines.is_array() || machines.empty() || !text_of(progress, "text").starts_with("fetching"))
    return bar.show(text_of(progress, "text"), number_of(progress, "done_bytes"), number_of(progress, "total_bytes"));
  std::uint64_t done = 0, total = 0;
  std::string names;
  for (const json& machine : machines) {
    done += number_of(machine, "done_bytes");
    total += number_of(machine, "total_bytes");
    names += (names.empty() ? "" : ", ") + text_of(machine, "name");
  }
  bar.show("fetching layers to " + names, done, total);
}

}  // namespace

Result<json> load_showing_progress(ApiClient& client, const json& body) {
  const InterruptGuard guard;  // Ctrl-C ends the waiting: the load goes on
  ProgressBar bar;
  std::optional<Error> failure;
  json placement;
  const auto streamed = client.post_lines("/load", body, [&](std::string_view line) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) return true;
    if (event.contains("progress")) show(bar, event["progress"]);
    if (event.contains("placement")) placement = event["placement"];
    if (event.contains("error"))
      failure = Error{code_from_string(text_of(event["error"], "code")), text_of(event["error"], "message")};
    return !interrupted();
  });
  bar.clear();
  if (!streamed) return fail(streamed.error());
  if (failure) return fail(*failure);
  if (interrupted()) return fail(Code::cancelled, "[app] interrupted while a model was loading");
  return placement;
}

}  // namespace flotilla
