// The patterns are facts about published tokenizers (their tokenizer.json), written once each and shared by name. They
// run on PCRE2, compiled to machine code. Each is applied to the pieces the one before left; what no alternative
// matches is a piece of its own. \s is spelled White_Space below: PCRE2's \s also takes U+180E, which no tokenizer
// does.
#include "text/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <memory>
#include <span>

#include "base/check.h"
#include "base/log.h"

namespace flotilla {
namespace {

#define CONTRACTION "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define SYMBOLS R"( ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define CASED(upper, lower, ending) \
  R"([^\r\n\p{L}\p{N}]?)" upper "*" lower "+" ending R"(|[^\r\n\p{L}\p{N}]?)" upper "+" lower "*" ending
#define O200K(ending, digits) CASED(UPPER, LOWER, ending) "|" digits R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" SPACES
#define MAYBE_CONTRACTION "(?:" CONTRACTION ")?"
#define CJK R"([一-龥\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)"
#define ASCII_PUNCTUATION R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])"
#define DEEPSEEK_WORD ASCII_PUNCTUATION R"([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+)"

// Letters with a case as Kimi sees them: all of UPPER (LOWER) but the Han ones, said by what they are not.
#define UPPER_NOT_HAN R"([^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}])"
#define LOWER_NOT_HAN R"([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}])"

constexpr const char* gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";
constexpr const char* llama3 = CONTRACTION "|" WORD R"(|\p{N}{1,3}|)" SYMBOLS "|" SPACES;
constexpr const char* qwen2 = CONTRACTION "|" WORD R"(|\p{N}|)" SYMBOLS "|" SPACES;
constexpr const char* bloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

struct Row {
  std::vector<const char*> names;
  std::vector<const char*> patterns;
  bool ignores_merges = false, adds_bos = false;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2", "midm-2.0", "jina-v5-nano"},
       {llama3},
       true,
       true},
      {{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, {llama3}},
      {{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "hunyuan", "stablelm2", "solar-open", "grok-2"},
       {qwen2}},
      {{"qwen35"}, {CONTRACTION R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" SPACES}},
      {{"ufakzeka"}, {WORD R"(|\p{N}|)" SYMBOLS "|" SPACES}},
      {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "trillion",
        "granite-docling", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de"},
       {gpt2}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
       {R"(\p{N})", gpt2}},
      {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {O200K(MAYBE_CONTRACTION, R"(\p{N}{1,3})")}},
      {{"tekken"}, {O200K("", R"(\p{N})")}, true, true},
      {{"tiny_aya", "cohere2moe"}, {R"(\d{1,3}(?=(?:\d{3})*\b))", O200K(MAYBE_CONTRACTION, R"(\p{N}{1,3})")}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       {R"(\p{N}{1,3})", CJK, DEEPSEEK_WORD R"([\r\n]*|)" SPACES}},
      {{"spark2_5"}, {R"(\p{N}{1,3})", CJK, DEEPSEEK_WORD R"(|[\r\n]|\s+(?!\S)|\s+)", R"(\p{N})"}},
      {{"deepseek-coder"},
       {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([一-龥\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", R"(\p{N})"}},
      {{"falcon"}, {R"([\p{P}$+<=>^~|`]+)", gpt2, "[0-9][0-9][0-9]"}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {bloom}},
      {{"viking"}, {bloom, R"(\p{N})"}},
      {{"kimi-k2"},
       {R"(\p{Han}+|)" CASED(UPPER_NOT_HAN, LOWER_NOT_HAN, MAYBE_CONTRACTION) R"(|\p{N}{1,3}|)" SYMBOLS "|" SPACES}},
      {{"seed-coder"}, {CONTRACTION "|" WORD R"(|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" SPACES}},
      {{"bailingmoe", "bailingmoe2", "llada-moe"},
       {CONTRACTION "|" WORD R"(|\p{N}|)" SYMBOLS R"(|\s*[\r\n]|\s+(?!\S)|\s+)"}},
      {{"laguna"}, {R"([^\n]+|[\n]+)", qwen2}},
      {{"minicpm5"}, {R"(\p{N}{1,3})", CONTRACTION "|" WORD R"(|\p{N}+|)" SYMBOLS "|" SPACES}, true},
      {{"exaone-moe"},
       {CONTRACTION R"(|[^\r\n\p{L}\p{N}]?+(?:\p{L}\p{M}*+(?: \p{L}\p{M}*+)*+)++|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
                    R"(|\s*[\r\n]|\s+(?!\S)|\s+)"}},
      {{"jais-2"},
       {CONTRACTION "|" WORD R"(|\p{N}{1,3}|)" SYMBOLS R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S))"
                    R"(|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s)"}},
      {{"youtu"},
       {R"([가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
        O200K(MAYBE_CONTRACTION, R"(\p{N})")},
       true},
      {{"chameleon"},
       {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", R"([\t\n]|    |  )", R"(\p{N})", R"([\p{P}!-/:-@\[-`{-~])", gpt2},
       false,
       true},
  };
  return table;
}

const Row& degraded_row() {
  static const Row row = {{"default"}, {R"([\p{P}$+<=>^~|]+)", gpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}};
  return row;
}

const Row* find_row(std::string_view name) {
  for (const Row& row : rows()) {
    for (const std::string_view known : row.names) {
      if (known == name) return &row;
    }
  }
  return nullptr;
}

std::string known_names() {
  std::string names;
  for (const Row& row : rows()) {
    for (const std::string_view name : row.names) names.append(names.empty() ? "" : ", ").append(name);
  }
  return names;
}

std::string with_white_space(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view two = pattern.substr(i, 2);
    if (two == "\\s") {
      out += R"(\p{White_Space})";
      ++i;
    } else if (two == "\\S") {
      out += R"(\P{White_Space})";
      ++i;
    } else if (two.size() == 2 && two[0] == '\\') {
      out += two;
      ++i;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

struct MatchFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

struct Pretokenizer::Pattern {
  explicit Pattern(std::string_view pattern) {
    const std::string text = with_white_space(pattern);
    int error = 0;
    PCRE2_SIZE where = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP, &error, &where,
                         nullptr);
    check(code != nullptr, "a pattern of the table compiles");
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter gives the same words, slower
  }
  ~Pattern() { pcre2_code_free(code); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  void split(std::string_view piece, std::vector<std::string_view>& out) const;

  pcre2_code* code = nullptr;
};

void Pretokenizer::Pattern::split(std::string_view piece, std::vector<std::string_view>& out) const {
  const std::unique_ptr<pcre2_match_data, MatchFree> match(pcre2_match_data_create(1, nullptr));
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
  std::size_t done = 0;
  while (done < piece.size()) {
    const int matches = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(piece.data()), piece.size(), done,
                                    PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), nullptr);
    if (matches < 0) {
      // Words of a class are matched without keeping a way back, so no text should reach a limit of the matcher.
      if (matches != PCRE2_ERROR_NOMATCH)
        log(LogLevel::warning, "text", "the splitter gave up (PCRE2 error {})", matches);
      break;
    }
    if (range[0] > done) out.push_back(piece.substr(done, range[0] - done));
    out.push_back(piece.substr(range[0], range[1] - range[0]));
    done = range[1];
  }
  if (done < piece.size()) out.push_back(piece.substr(done));
}

Pretokenizer::Pretokenizer() = default;
Pretokenizer::~Pretokenizer() = default;
Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;

Result<Pretokenizer> Pretokenizer::create(std::string_view name) {
  const Row* row = find_row(name);
  if (row == nullptr && (name.empty() || name == "default")) {
    log(LogLevel::warning, "text",
        "the model file does not name its pre-tokenizer; answers may be worse. Convert the model again with current "
        "tools");
    row = &degraded_row();
  }
  if (row == nullptr) {
    return fail(Code::unsupported,
                "[text] expected a pre-tokenizer we know but got \"{}\"; known are {}. Try a newer version of Flotilla",
                name, known_names());
  }
  Pretokenizer made;
  for (const char* pattern : row->patterns) made.patterns_.push_back(std::make_unique<Pattern>(pattern));
  made.ignores_merges_ = row->ignores_merges;
  made.adds_bos_ = row->adds_bos;
  return made;
}

std::vector<std::string_view> Pretokenizer::split(std::string_view text) const {
  std::vector<std::string_view> words = {text}, next;
  for (const auto& pattern : patterns_) {
    next.clear();
    for (const std::string_view word : words) pattern->split(word, next);
    std::swap(words, next);
  }
  return words;
}

}  // namespace flotilla
