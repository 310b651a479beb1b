#include "server/access.h"

namespace flotilla {

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::infer:
      return "infer";
    case Scope::batch:
      return "batch";
    case Scope::models:
      return "models";
    case Scope::metrics:
      return "metrics";
    case Scope::admin:
      return "admin";
  }
  return "none";
}

std::optional<Scope> scope_from_string(std::string_view name) {
  for (const Scope scope : all_scopes)
    if (to_string(scope) == name) return scope;
  return std::nullopt;
}

std::string Scopes::joined(std::string_view between) const {
  std::string text;
  for (const Scope scope : all_scopes) {
    if (!has(scope)) continue;
    if (!text.empty()) text += between;
    text += to_string(scope);
  }
  return text;
}

}  // namespace flotilla
