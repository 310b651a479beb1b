// The Rust half of the text room (rust/src): chat templates interpreted by minijinja, for src/text/chat_template.cc; and
// constraints on answers kept by llguidance, for src/text/constraint.cc.
//
// Texts are UTF-8 with a length, never null-terminated. Nothing here throws, aborts or touches files, the network or the
// time of day. Thread: templates and vocabularies are immutable, use them from any thread; a constraint has one at a time, but
// is copied from any thread while nobody changes it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FlotillaTemplate FlotillaTemplate;

// How a call went; `text` of the answer is the result where ok and the reason in all other cases.
typedef enum FlotillaOutcome {
  FLOTILLA_OK = 0,
  FLOTILLA_SYNTAX = 1,    // the template, schema, pattern or grammar does not parse or asks for what is not supported
  FLOTILLA_REFUSED = 2,   // raise_exception(...): `text` is the template's own message
  FLOTILLA_TOO_LARGE = 3, // steps, output, depth, memory or time beyond the limits
  FLOTILLA_FAILED = 4,    // anything else a template did wrong (undefined value, unknown filter), or a step of a constraint
  FLOTILLA_INTERNAL = 5,  // we did: a text that is no UTF-8, a context that is no JSON, no thread to be had, a panic
} FlotillaOutcome;

typedef struct FlotillaAnswer {
  FlotillaOutcome outcome;
  char* text;    // owned by the caller: give it back with flotilla_answer_free
  size_t bytes;
} FlotillaAnswer;

typedef struct FlotillaRenderLimits {
  uint64_t steps_max;         // instructions; every 64 bytes of text a template makes count as one too, so memory is bounded
  uint64_t output_bytes_max;
} FlotillaRenderLimits;

// Null, and `answer` says why, where the source does not parse. On success `answer->text` is empty.
FlotillaTemplate* flotilla_template_create(const char* source, size_t source_bytes, FlotillaRenderLimits limits,
                                           FlotillaAnswer* answer);

// `context`: a JSON object, the template's variables. `local_seconds`: what strftime_now() takes for now, seconds since 1970
// in local time.
FlotillaAnswer flotilla_template_render(const FlotillaTemplate* chat_template, const char* context, size_t context_bytes,
                                        int64_t local_seconds);

void flotilla_template_free(FlotillaTemplate* chat_template);
void flotilla_answer_free(FlotillaAnswer answer);

typedef struct FlotillaVocabulary FlotillaVocabulary;
typedef struct FlotillaConstraint FlotillaConstraint;

// Token t's bytes are those of `bytes` from word_ends[t - 1] (0 for the first) to word_ends[t]; none where it is part of no
// text. Control tokens are known to grammars by their text and never part of other text. `ends`: tokens that end an answer, at
// least one. Null, and `answer` says why, where that contradicts itself. A constraint may outlive its vocabulary.
FlotillaVocabulary* flotilla_vocabulary_create(const char* bytes, const uint64_t* word_ends, const uint8_t* is_control,
                                               size_t tokens, const uint32_t* ends, size_t ends_count,
                                               FlotillaAnswer* answer);
void flotilla_vocabulary_free(FlotillaVocabulary* vocabulary);

typedef enum FlotillaConstraintKind {
  FLOTILLA_JSON_OBJECT = 1,  // `text` is not read
  FLOTILLA_JSON_SCHEMA = 2,
  FLOTILLA_REGEX = 3,  // of the whole answer
  FLOTILLA_LARK = 4,
} FlotillaConstraintKind;

typedef struct FlotillaCompileLimits {
  uint64_t processor_milliseconds_max, memory_bytes_max;
} FlotillaCompileLimits;

// Null, and `answer` says why, where the text does not compile (SYNTAX), or not within the limits (TOO_LARGE).
FlotillaConstraint* flotilla_constraint_create(const FlotillaVocabulary* vocabulary, uint32_t kind, const char* text,
                                               size_t text_bytes, FlotillaCompileLimits limits, FlotillaAnswer* answer);
// At the same place of the answer; what was compiled is shared. Null where the library failed.
FlotillaConstraint* flotilla_constraint_copy(const FlotillaConstraint* constraint);
// The answer goes on with these tokens; takes its last ones back. Once one of these, or a mask, was not OK, the constraint
// can only be freed.
FlotillaAnswer flotilla_constraint_advance(FlotillaConstraint* constraint, const uint32_t* tokens, size_t count);
FlotillaAnswer flotilla_constraint_retreat(FlotillaConstraint* constraint, size_t count);
// How many of these tokens, one after the other, may come next.
size_t flotilla_constraint_allowed(FlotillaConstraint* constraint, const uint32_t* tokens, size_t count);
// One bit for each token that may come next, the lowest of each word first; where the answer must end, the ends. FAILED
// where nothing may come next or a step would take more than a step may.
FlotillaAnswer flotilla_constraint_mask(FlotillaConstraint* constraint, uint32_t* words, size_t words_count);
void flotilla_constraint_free(FlotillaConstraint* constraint);

#ifdef __cplusplus
}
#endif
