// What the text room needs of a GGUF header: the tokenizer's vocabulary. Pure.
#pragma once

#include "base/result.h"
#include "model/gguf.h"
#include "text/tokenizer.h"

namespace flotilla {

// corrupt where required keys are missing or of another type.
Result<VocabularyData> read_vocabulary(const Gguf& gguf);

}  // namespace flotilla
