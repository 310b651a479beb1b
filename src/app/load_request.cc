#include "app/load_request.h"

#include <optional>

#include "app/interrupt.h"
#include "app/json_fields.h"
#include "app/terminal.h"

namespace flotilla {

using nlohmann::json;

Result<json> load_showing_progress(ApiClient& client, const json& body) {
  const InterruptGuard guard;  // Ctrl-C ends the waiting: the load goes on
  ProgressBar bar;
  std::optional<Error> failure;
  json placement;
  const auto streamed = client.post_lines("/load", body, [&](std::string_view line) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) return true;
    if (event.contains("progress"))
      bar.show(text_of(event["progress"], "text"), number_of(event["progress"], "done_bytes"),
               number_of(event["progress"], "total_bytes"));
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
