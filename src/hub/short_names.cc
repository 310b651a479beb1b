#include "hub/short_names.h"

namespace flotilla {
namespace {

constexpr ShortName names[] = {
    {"smollm2-135m", "bartowski/SmolLM2-135M-Instruct-GGUF", "Q4_K_M", "0.1 GB"},
    {"gemma3-270m", "unsloth/gemma-3-270m-it-GGUF", "Q4_K_M", "0.3 GB"},
    {"qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Q4_K_M", "0.5 GB"},
    {"qwen3-0.6b", "Qwen/Qwen3-0.6B-GGUF", "Q8_0", "0.6 GB"},
    {"tinyllama-1.1b", "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", "Q4_K_M", "0.7 GB"},
    {"gemma3-1b", "ggml-org/gemma-3-1b-it-GGUF", "Q4_K_M", "0.8 GB"},
    {"llama3.2-1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", "Q4_K_M", "0.8 GB"},
    {"smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "Q4_K_M", "1.1 GB"},
    {"qwen3-1.7b", "Qwen/Qwen3-1.7B-GGUF", "Q8_0", "1.8 GB"},
    {"llama3.2-3b", "bartowski/Llama-3.2-3B-Instruct-GGUF", "Q4_K_M", "2 GB"},
    {"gemma3-4b", "ggml-org/gemma-3-4b-it-GGUF", "Q4_K_M", "2.5 GB"},
    {"qwen3-4b", "Qwen/Qwen3-4B-GGUF", "Q4_K_M", "2.5 GB"},
    {"mistral-7b", "bartowski/Mistral-7B-Instruct-v0.3-GGUF", "Q4_K_M", "4.4 GB"},
    {"llama3.1-8b", "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", "Q4_K_M", "4.9 GB"},
    {"qwen3-8b", "Qwen/Qwen3-8B-GGUF", "Q4_K_M", "5 GB"},
    {"gemma3-12b", "ggml-org/gemma-3-12b-it-GGUF", "Q4_K_M", "7.3 GB"},
    {"qwen3-14b", "Qwen/Qwen3-14B-GGUF", "Q4_K_M", "9 GB"},
    {"gemma3-27b", "ggml-org/gemma-3-27b-it-GGUF", "Q4_K_M", "17 GB"},
    {"qwen3-32b", "Qwen/Qwen3-32B-GGUF", "Q4_K_M", "20 GB"},
    {"llama3.3-70b", "bartowski/Llama-3.3-70B-Instruct-GGUF", "Q4_K_M", "43 GB"},
};

}  // namespace

std::span<const ShortName> short_names() { return names; }

}  // namespace flotilla
