// Bodies of POST /v1/messages, Anthropic's, and of the count beside it.
#include "request_run.h"
#include "server/anthropic_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto body = fuzz::text_of(fuzz::bytes_of_input(data, size));
  fuzz::run_request<AnthropicMessages>(body);
  fuzz::run_request<AnthropicCount>(body);
  return 0;
}
