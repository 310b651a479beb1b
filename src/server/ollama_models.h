// What Ollama's clients ask beside answers: which models there are and what they can, under /api. What keeps or changes
// models there is refused with words.
#pragma once

#include <cstddef>

namespace flotilla {

class Backend;
class Router;

void add_ollama_model_routes(Router& router, Backend& backend, std::size_t json_depth_max);

}  // namespace flotilla
