// Merging keeps the word as a linked list and the possible merges in a heap ordered by (rank, place), so a word of n
// bytes costs n log n however long it is. Symbols are numbers, not strings: a merge is one look-up of a pair of 32-bit
// numbers.
#include "text/bpe.h"

#include <algorithm>
#include <queue>

#include "text/utf8.h"

namespace flotilla {
namespace {

// GPT-2's spelling of bytes: printable Latin-1 stands for itself, the other 68 bytes for U+0100 onwards.
bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct ByteSpelling {
  std::array<std::string, 256> spelled;
  std::array<std::int16_t, 0x144> byte_of;  // by code point; -1: none

  ByteSpelling() {
    byte_of.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const char32_t code = stands_for_itself(byte) ? byte : next++;
      spelled[byte] = utf8_of(code);
      byte_of[code] = static_cast<std::int16_t>(byte);
    }
  }
};

const ByteSpelling& spelling() {
  static const ByteSpelling table;
  return table;
}

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

struct Bpe::Candidate {
  std::int32_t rank, left, right;  // places in the chain
  Symbol left_symbol, right_symbol, merged;
  bool operator<(const Candidate& other) const {  // the heap gives out its largest: lowest rank, then leftmost
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

struct Bpe::Chain {
  struct Link {
    Symbol symbol;
    std::int32_t previous, next;  // -1: none
  };
  std::vector<Link> links;  // symbol -1: merged away
  std::priority_queue<Candidate> candidates;
};

Result<std::unique_ptr<Bpe>> Bpe::create(const Vocabulary& vocabulary, Pretokenizer pretokenizer) {
  std::unique_ptr<Bpe> made(new Bpe(vocabulary, std::move(pretokenizer)));
  FLOTILLA_TRY_STATUS(made->read_merges());
  return made;
}

Bpe::Bpe(const Vocabulary& vocabulary, Pretokenizer pretokenizer)
    : vocabulary_(vocabulary), pretokenizer_(std::move(pretokenizer)) {}

Status Bpe::read_merges() {
  const auto& lines = vocabulary_.data().merges;
  if (lines.empty()) return fail(Code::corrupt, "[text] expected BPE merges but the file has none");
  std::unordered_map<std::string, Symbol> extra;
  const auto intern = [&](std::string_view text) {
    const TokenId token = vocabulary_.find_ordinary(text);
    if (token >= 0) return token;
    const auto next = static_cast<Symbol>(vocabulary_.size() + extra.size());
    return extra.emplace(std::string(text), next).first->second;
  };
  for (unsigned byte = 0; byte < 256; ++byte) byte_symbols_[byte] = intern(spelling().spelled[byte]);
  merges_.reserve(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    const std::size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == line.size()) {
      return fail(Code::corrupt, "[text] expected a merge of two parts but merge {} is \"{}\"", i, line);
    }
    const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
    const Symbol merged = intern(std::string(left).append(right));
    merges_.emplace(pair_key(intern(left), intern(right)), Merge{static_cast<std::int32_t>(i), merged});
  }
  return {};
}

void Bpe::encode(std::string_view text, bool /*at_start*/, std::vector<TokenId>& out) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = valid_utf8(text);
  for (const std::string_view word : pretokenizer_.split(text)) encode_word(word, out);
}

void Bpe::encode_word(std::string_view word, std::vector<TokenId>& out) const {
  if (pretokenizer_.ignores_merges()) {
    std::string spelled;
    for (const char byte : word) spelled += spelling().spelled[static_cast<unsigned char>(byte)];
    if (const TokenId whole = vocabulary_.find_ordinary(spelled); whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  Chain chain;
  const auto count = static_cast<std::int32_t>(word.size());
  chain.links.reserve(word.size());
  for (std::int32_t i = 0; i < count; ++i) {
    const Symbol symbol = byte_symbols_[static_cast<unsigned char>(word[static_cast<std::size_t>(i)])];
    chain.links.push_back({symbol, i - 1, i + 1 < count ? i + 1 : -1});
  }
  for (std::int32_t i = 0; i + 1 < count; ++i) propose(chain, i);
  merge(chain);
  for (const Chain::Link& link : chain.links) {
    // A symbol beyond the vocabulary is a byte or a half-done merge that the file has no token for.
    if (link.symbol >= 0 && vocabulary_.contains(link.symbol)) out.push_back(link.symbol);
  }
}

// Offers the merge of the link at `left` with its neighbour, where there is one.
void Bpe::propose(Chain& chain, std::int32_t left) const {
  if (left < 0) return;
  const auto& from = chain.links[static_cast<std::size_t>(left)];
  if (from.next < 0) return;
  const Symbol right_symbol = chain.links[static_cast<std::size_t>(from.next)].symbol;
  const auto found = merges_.find(pair_key(from.symbol, right_symbol));
  if (found == merges_.end()) return;
  chain.candidates.push({found->second.rank, left, from.next, from.symbol, right_symbol, found->second.merged});
}

void Bpe::merge(Chain& chain) const {
  while (!chain.candidates.empty()) {
    const Candidate best = chain.candidates.top();
    chain.candidates.pop();
    auto& left = chain.links[static_cast<std::size_t>(best.left)];
    auto& right = chain.links[static_cast<std::size_t>(best.right)];
    if (left.symbol != best.left_symbol || right.symbol != best.right_symbol) continue;  // overtaken by a better merge
    left.symbol = best.merged;
    left.next = right.next;
    right.symbol = -1;
    if (right.next >= 0) chain.links[static_cast<std::size_t>(right.next)].previous = best.left;
    propose(chain, left.previous);
    propose(chain, best.left);
  }
}

std::string Bpe::decode(TokenId token) const {
  std::string out;
  std::string_view text = vocabulary_.text(token);
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const auto& byte_of = spelling().byte_of;
    if (step.valid && step.code < byte_of.size() && byte_of[step.code] >= 0) {
      out += static_cast<char>(byte_of[step.code]);
    } else {
      out += text.substr(0, step.bytes);  // not spelled in bytes: some added tokens are plain text
    }
    text.remove_prefix(step.bytes);
  }
  return out;
}

}  // namespace flotilla
