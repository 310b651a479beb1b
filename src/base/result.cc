#include "base/result.h"

#include <algorithm>
#include <array>

namespace flotilla {
namespace {

struct CodeFacts {
  Code code;
  std::string_view name;
  int http_status;
  bool retry_can_help;
};

constexpr std::array code_facts{
    CodeFacts{Code::invalid_argument, "invalid_argument", 400, false},
    CodeFacts{Code::not_found, "not_found", 404, false},
    CodeFacts{Code::context_length, "context_length", 400, false},
    CodeFacts{Code::too_large, "too_large", 413, false},
    CodeFacts{Code::unsupported, "unsupported", 400, false},
    CodeFacts{Code::corrupt, "corrupt", 500, false},
    CodeFacts{Code::version_mismatch, "version_mismatch", 502, false},
    CodeFacts{Code::unauthorized, "unauthorized", 401, false},
    CodeFacts{Code::no_memory, "no_memory", 507, false},
    CodeFacts{Code::no_space, "no_space", 507, false},
    CodeFacts{Code::permission, "permission", 403, false},
    CodeFacts{Code::busy, "busy", 429, true},
    CodeFacts{Code::unavailable, "unavailable", 503, true},
    CodeFacts{Code::timeout, "timeout", 504, true},
    CodeFacts{Code::closed, "closed", 503, true},
    CodeFacts{Code::cancelled, "cancelled", 499, false},
    CodeFacts{Code::internal, "internal", 500, false},
};

const CodeFacts& facts(Code code) { return *std::ranges::find(code_facts, code, &CodeFacts::code); }

}  // namespace

std::string_view to_string(Code code) { return facts(code).name; }
int http_status(Code code) { return facts(code).http_status; }
bool retry_can_help(Code code) { return facts(code).retry_can_help; }

Code code_from_string(std::string_view name) {
  const auto found = std::ranges::find(code_facts, name, &CodeFacts::name);
  return found == code_facts.end() ? Code::internal : found->code;
}

}  // namespace flotilla
