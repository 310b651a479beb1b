// Writes a model of a given shape with random weights, so that any size can be timed without a download.
//
//   random_model --vocabulary-of FILE --out FILE [--shape 1b] [--quantization Q4_K_M]
//
// The family is llama; tokenizer and chat template are those of FILE. What it says is noise; what it costs is real: the
// same kernels, bytes and shapes as a trained model's.
#include <ggml-cpp.h>
#include <gguf.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

#include "engine/random_model.h"

namespace flotilla {
namespace {

// "1b" is TinyLlama's, the others are those of Llama 3.1 and 3.2. The vocabulary is the donor's, and the output head the
// embedding table.
const std::map<std::string, RandomShape> shapes = {
    {"1b", {22, 2048, 32, 4, 5632}},
    {"1b-wide", {16, 2048, 32, 8, 8192}},
    {"3b", {28, 3072, 24, 8, 8192}},
    {"8b", {32, 4096, 32, 8, 14336}},
};

struct Options {
  std::string vocabulary_of, out, shape = "1b", quantization = "Q4_K_M";
};

Status run(const Options& options) {
  if (!shapes.contains(options.shape))
    return fail(Code::invalid_argument, "random_model: expected the shape 1b, 1b-wide, 3b or 8b but got {}",
                options.shape);
  const gguf_context_ptr donor(gguf_init_from_file(options.vocabulary_of.c_str(), {true, nullptr}));
  const auto key = donor ? gguf_find_key(donor.get(), "tokenizer.ggml.tokens") : -1;
  if (key < 0)
    return fail(Code::not_found, "random_model: expected a GGUF file with a vocabulary but got {}",
                options.vocabulary_of);
  RandomShape shape = shapes.at(options.shape);
  shape.vocabulary = static_cast<std::int64_t>(gguf_get_arr_n(donor.get(), key));
  // Whole or not at all: a benchmark that finds the file takes it for good.
  const std::string part = options.out + ".part";
  const std::string name = "random-" + options.shape + "." + options.quantization;
  FLOTILLA_TRY_STATUS(write_random_model(part, shape, options.quantization, name, donor.get()));
  std::filesystem::rename(part, options.out);
  std::printf("%s: %ju MB\n", options.out.c_str(),
              static_cast<std::uintmax_t>(std::filesystem::file_size(options.out) >> 20));
  return {};
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::Options options;
  CLI::App app("Writes a model of a given shape with random weights.");
  app.add_option("--vocabulary-of", options.vocabulary_of, "GGUF file whose tokenizer to take")->required();
  app.add_option("--out", options.out, "GGUF file to write")->required();
  app.add_option("--shape", options.shape, "1b, 1b-wide, 3b or 8b")->capture_default_str();
  app.add_option("--quantization", options.quantization, "Q4_K_M, or one type for all matrices")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto status = flotilla::run(options);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
