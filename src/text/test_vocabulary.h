// The vocabularies of the two real models, for tests. Read with ggml, because text knows no file format.
#pragma once

#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace flotilla {

inline constexpr const char* smollm2_file = "SmolLM2-135M-Instruct.Q4_1.gguf";
inline constexpr const char* gemma3_file = "gemma-3-270m.Q4_K_M.gguf";
inline constexpr const char* minilm_file = "all-MiniLM-L6-v2.F16.gguf";

// Fails the test (and gives an empty vocabulary) where the file is not in the models folder.
VocabularyData read_test_vocabulary(const std::string& file);
std::shared_ptr<const Tokenizer> test_tokenizer(const std::string& file);  // made once; null after a failure

// A byte-level vocabulary of the 256 bytes, the given further tokens and merges; `special` tokens are of kind control.
VocabularyData small_bpe(const std::string& pre, const std::vector<std::string>& merges,
                         const std::vector<std::string>& special);

}  // namespace flotilla
