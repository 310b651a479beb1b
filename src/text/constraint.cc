#include "text/constraint.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "text/rust_answer.h"
#include "text/utf8.h"

namespace flotilla {
namespace {

std::string_view name_of(ConstraintKind kind) {
  switch (kind) {
    case ConstraintKind::json_object:
    case ConstraintKind::json_schema:
      return "a JSON schema";
    case ConstraintKind::regex:
      return "a regular expression";
    case ConstraintKind::lark:
      return "a Lark grammar";
    case ConstraintKind::none:
      break;
  }
  return "a constraint";
}

constexpr FlotillaCompileLimits compile_limits{
    .processor_milliseconds_max = static_cast<std::uint64_t>(limits::constraint_compile_time_max.count()),
    .memory_bytes_max = limits::constraint_memory_bytes_max};

// The two languages number their kinds alike.
static_assert(static_cast<int>(ConstraintKind::json_object) == FLOTILLA_JSON_OBJECT);
static_assert(static_cast<int>(ConstraintKind::json_schema) == FLOTILLA_JSON_SCHEMA);
static_assert(static_cast<int>(ConstraintKind::regex) == FLOTILLA_REGEX);
static_assert(static_cast<int>(ConstraintKind::lark) == FLOTILLA_LARK);

std::unexpected<Error> compile_error(const ConstraintSource& source, const RustAnswer& answer) {
  const std::string reason = valid_utf8(answer.text());
  if (answer.raw.outcome == FLOTILLA_TOO_LARGE)
    return fail(Code::invalid_argument,
                "[text] expected {} that compiles within {} ms and {} MiB but it takes more; simplify it",
                name_of(source.kind), limits::constraint_compile_time_max.count(),
                limits::constraint_memory_bytes_max >> 20);
  if (answer.raw.outcome == FLOTILLA_INTERNAL)
    return fail(Code::invalid_argument, "[text] expected {} that can be kept to but it is beyond us ({}); simplify it",
                name_of(source.kind), reason);
  return fail(Code::invalid_argument, "[text] expected {} that can be kept to but got: {}", name_of(source.kind),
              reason);
}

// Tokens are the same numbers on both sides; none is negative here.
const std::uint32_t* unsigned_of(std::span<const TokenId> tokens) {
  return reinterpret_cast<const std::uint32_t*>(tokens.data());
}

}  // namespace

void Constraint::Free::operator()(FlotillaConstraint* constraint) const { flotilla_constraint_free(constraint); }

Result<Constraint> Constraint::compile(const ConstraintVocabulary& vocabulary, const ConstraintSource& source) {
  if (source.text.size() > limits::constraint_bytes_max)
    return fail(Code::invalid_argument, "[text] expected {} of at most {} bytes but got {}; simplify it",
                name_of(source.kind), limits::constraint_bytes_max, source.text.size());
  RustAnswer answer;
  auto* made = flotilla_constraint_create(vocabulary.get(), static_cast<std::uint32_t>(source.kind), source.text.data(),
                                          source.text.size(), compile_limits, &answer.raw);
  if (made == nullptr) return compile_error(source, answer);
  return Constraint(made, vocabulary.size());
}

Result<Constraint> Constraint::copy() const {
  auto* made = flotilla_constraint_copy(made_.get());
  if (made == nullptr) return fail(Code::internal, "[text] a constraint could not be copied");
  Constraint copied(made, vocabulary_);
  copied.followed_ = followed_;
  return copied;
}

Status Constraint::follow(std::span<const TokenId> answer) {
  const auto common = static_cast<std::size_t>(std::ranges::mismatch(answer, followed_).in1 - answer.begin());
  const RustAnswer back(flotilla_constraint_retreat(made_.get(), followed_.size() - common));
  if (back.raw.outcome != FLOTILLA_OK)
    return fail(Code::internal, "[text] a constraint could not go back: {}", valid_utf8(back.text()));
  const auto next = answer.subspan(common);
  followed_.assign(answer.begin(), answer.end());
  if (next.empty()) return {};
  const RustAnswer on(flotilla_constraint_advance(made_.get(), unsigned_of(next), next.size()));
  if (on.raw.outcome == FLOTILLA_OK) return {};
  return fail(Code::unsupported, "[text] expected an answer that keeps to its constraint but got one that does not: {}",
              valid_utf8(on.text()));
}

Result<TokenMask> Constraint::mask() {
  TokenMask mask{.words = std::vector<std::uint32_t>((vocabulary_ + 31) / 32)};
  const RustAnswer answer(flotilla_constraint_mask(made_.get(), mask.words.data(), mask.words.size()));
  if (answer.raw.outcome == FLOTILLA_OK) return mask;
  return fail(Code::unsupported,
              "[text] the answer cannot go on within its constraint after {} tokens: {}; simplify it", followed_.size(),
              valid_utf8(answer.text()));
}

std::size_t Constraint::allowed(std::span<const TokenId> next) const {
  return flotilla_constraint_allowed(made_.get(), unsigned_of(next), next.size());
}

Status check_constraint(const ConstraintSource& source, const Tokenizer& tokenizer) {
  FLOTILLA_TRY(const auto vocabulary, ConstraintVocabulary::of_bytes(tokenizer));
  FLOTILLA_TRY_STATUS(Constraint::compile(*vocabulary, source));
  return {};
}

}  // namespace flotilla
