// The routes of all dialects: which path is answered by which, and how errors look there.
#pragma once

#include <memory>

namespace flotilla {

class Backend;
class Router;
struct GenerationHost;

void add_dialect_routes(Router& router, Backend& backend, const std::shared_ptr<GenerationHost>& host);

}  // namespace flotilla
