// Bodies of POST /api/chat and /api/generate, Ollama's.
#include "request_run.h"
#include "server/ollama_dialect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto body = fuzz::text_of(fuzz::bytes_of_input(data, size));
  fuzz::run_request<OllamaChat>(body);
  fuzz::run_request<OllamaGenerate>(body);
  return 0;
}
