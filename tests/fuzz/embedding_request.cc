// Bodies of POST /v1/embeddings, /api/embed and /api/embeddings; the first byte says which.
#include "request_run.h"
#include "server/embedding_dialects.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  fuzz::Input input(data, size);
  const auto which = input.number<std::uint8_t>() % 3;
  const auto body = fuzz::text_of(input.rest());
  if (which == 0) fuzz::run_embedding<OpenAiEmbeddings>(body);
  if (which == 1) fuzz::run_embedding<OllamaEmbed>(body);
  if (which == 2) fuzz::run_embedding<OllamaEmbeddings>(body);
  return 0;
}
