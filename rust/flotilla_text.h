// The Rust half of the text room: chat templates interpreted by minijinja (rust/src). Used by src/text/chat_template.cc only.
//
// Texts are UTF-8 with a length, never null-terminated. Nothing here throws, aborts or touches files, the network or the
// clock. Thread: a template is immutable; render from any thread.
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
  FLOTILLA_SYNTAX = 1,    // the template does not parse
  FLOTILLA_REFUSED = 2,   // raise_exception(...): `text` is the template's own message
  FLOTILLA_TOO_LARGE = 3, // steps, output or depth beyond the limits
  FLOTILLA_FAILED = 4,    // anything else the template did wrong: undefined value, unknown filter, wrong type
  FLOTILLA_INTERNAL = 5,  // the context is no JSON, or the interpreter itself failed
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

#ifdef __cplusplus
}
#endif
