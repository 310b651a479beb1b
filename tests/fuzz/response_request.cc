// Bodies of POST /v1/responses.
#include "request_run.h"
#include "server/openai_responses.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto body = fuzz::text_of(fuzz::bytes_of_input(data, size));
  fuzz::run_request<OpenAiResponses>(body, std::make_shared<ResponseStore>(), std::uint64_t{1});
  return 0;
}
