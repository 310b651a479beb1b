// toml++ as this program includes it: it reads files that people write, so what it takes for granted of them may not
// stop the process, nor be assumed by the compiler. `[&` is enough for the former in 3.3 ("[" is followed by a key); the
// parser checks again what it asserts and says which line is wrong.
#pragma once

#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(expression) static_assert(true)

#pragma push_macro("NDEBUG")
#undef NDEBUG  // with it the library turns its assertions into promises to clang's optimiser
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")
