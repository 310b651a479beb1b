#include "server/backend.h"

#include <format>

namespace flotilla {

Error wrong_use(const std::string& model, ModelUse use) {
  if (use == ModelUse::embed)
    return {Code::unsupported,
            std::format(
                "[server] expected a model that makes vectors of texts but {} generates text; ask it by "
                "/v1/chat/completions, and one whose capabilities have \"embedding\" for vectors (GET /models/NAME)",
                model)};
  return {Code::unsupported,
          std::format("[server] expected a model that generates text but {} makes vectors of texts; ask it by "
                      "/v1/embeddings or /api/embed",
                      model)};
}

}  // namespace flotilla
