// What keeping to a form costs a token: masks for answers that go on as a schema allows, in microseconds.
//
//   build/release/bench/constraint_bench --model MODEL.gguf [--schema FILE | --grammar FILE] [--answers 50]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <print>
#include <random>
#include <string>
#include <vector>

#include "app/model_vocabulary.h"
#include "base/limits.h"
#include "model/gguf.h"
#include "text/constraint.h"

namespace {

using namespace flotilla;
using Clock = std::chrono::steady_clock;

constexpr std::size_t answer_tokens_max = 400;
constexpr const char* person =
    R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0},)"
    R"("tags":{"type":"array","items":{"type":"string"}},"address":{"type":"object","properties":)"
    R"({"street":{"type":"string"},"city":{"type":"string"}},"required":["street","city"]}},)"
    R"("required":["name","age","tags"]})";

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

Result<std::shared_ptr<const Tokenizer>> load(const std::string& model) {
  FLOTILLA_TRY(const auto gguf, Gguf::open(model));
  FLOTILLA_TRY(auto data, read_vocabulary(*gguf));
  return Tokenizer::create(std::move(data));
}

// Of what is allowed: a model's answer is made of long tokens and ends, so does this one.
TokenId next_of(const TokenMask& mask, const Tokenizer& tokenizer, std::mt19937& random) {
  std::vector<TokenId> allowed;
  for (TokenId token = 0; std::cmp_less(token, tokenizer.size()); ++token)
    if (mask.contains(token)) allowed.push_back(token);
  return allowed[random() % allowed.size()];
}

Result<std::vector<double>> time_masks(const Tokenizer& tokenizer, const Constraint& compiled, unsigned answers) {
  std::mt19937 random(1);
  std::vector<double> times;
  for (unsigned answer = 0; answer < answers; ++answer) {
    FLOTILLA_TRY(auto constraint, compiled.copy());
    std::vector<TokenId> tokens;
    while (tokens.size() < answer_tokens_max) {
      const auto begun = Clock::now();
      FLOTILLA_TRY_STATUS(constraint.follow(tokens));
      FLOTILLA_TRY(const auto mask, constraint.mask());
      times.push_back(microseconds(Clock::now() - begun));
      const TokenId next = next_of(mask, tokenizer, random);
      if (std::ranges::contains(tokenizer.end_of_generation(), next)) break;
      tokens.push_back(next);
    }
  }
  return times;
}

Status run(const std::string& model, const ConstraintSource& source, unsigned answers) {
  FLOTILLA_TRY(const auto tokenizer, load(model));
  auto begun = Clock::now();
  FLOTILLA_TRY(const auto vocabulary, ConstraintVocabulary::of(*tokenizer));
  const double of_vocabulary = microseconds(Clock::now() - begun);
  begun = Clock::now();
  FLOTILLA_TRY(const auto compiled, Constraint::compile(*vocabulary, source));
  const double of_schema = microseconds(Clock::now() - begun);
  FLOTILLA_TRY(auto times, time_masks(*tokenizer, compiled, answers));
  std::ranges::sort(times);
  const auto at = [&](double share) { return times[static_cast<std::size_t>(share * double(times.size() - 1))]; };
  double sum = 0;
  for (const double time : times) sum += time;
  std::println("{} tokens; vocabulary {:.0f} ms, schema {:.1f} ms", tokenizer->size(), of_vocabulary / 1e3,
               of_schema / 1e3);
  std::println("{} masks: mean {:.0f} us, median {:.0f}, 95 % {:.0f}, 99 % {:.0f}, most {:.0f}", times.size(),
               sum / double(times.size()), at(0.5), at(0.95), at(0.99), times.back());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a mask costs a token");
  std::string model, schema_file, grammar_file;
  ConstraintSource source{ConstraintKind::json_schema, person};
  unsigned answers = 50;
  app.add_option("--model", model, "a GGUF file, for its vocabulary")->required()->check(CLI::ExistingFile);
  app.add_option("--schema", schema_file, "a JSON schema")->check(CLI::ExistingFile);
  app.add_option("--grammar", grammar_file, "a Lark grammar")->check(CLI::ExistingFile)->excludes("--schema");
  app.add_option("--answers", answers, "answers to follow");
  CLI11_PARSE(app, argc, argv);
  if (const auto& path = grammar_file.empty() ? schema_file : grammar_file; !path.empty()) {
    std::ifstream file(path);
    source.text.assign(std::istreambuf_iterator<char>(file), {});
    if (!grammar_file.empty()) source.kind = ConstraintKind::lark;
  }
  if (const auto status = run(model, source, answers); !status) {
    std::println(stderr, "{}", status.error().message);
    return 1;
  }
}
