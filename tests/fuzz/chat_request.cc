// Bodies of POST /v1/chat/completions.
#include "request_run.h"
#include "server/openai_chat.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  fuzz::run_request<OpenAiChat>(fuzz::text_of(fuzz::bytes_of_input(data, size)));
  return 0;
}
