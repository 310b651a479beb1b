// Merges are proposed only into tokens that ordinary text may become: "<s>" spelled out stays five characters or fewer
// pieces, it never merges into the control token of that text, as in the original library.
#include "text/sentencepiece.h"

#include <algorithm>
#include <queue>

namespace flotilla {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581

// By the first byte alone: malformed text falls into pieces that no token has, and so into bytes.
std::size_t character_bytes(unsigned char first) {
  if (first < 0xC0) return 1;
  return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

}  // namespace

struct SentencePiece::Candidate {
  float score;
  std::int32_t left, right;                       // places in the chain
  std::size_t bytes;                              // of both together, when proposed
  bool operator<(const Candidate& other) const {  // the heap gives out its largest: best score, then leftmost
    return score != other.score ? score < other.score : left > other.left;
  }
};

struct SentencePiece::Chain {
  struct Link {
    std::string_view piece;       // empty: merged away
    std::int32_t previous, next;  // -1: none
  };
  std::vector<Link> links;
  std::priority_queue<Candidate> candidates;
};

Result<std::unique_ptr<SentencePiece>> SentencePiece::create(const Vocabulary& vocabulary) {
  if (vocabulary.data().scores.empty()) {
    return fail(Code::corrupt, "[text] expected a score for each SentencePiece token but the file has none");
  }
  return std::unique_ptr<SentencePiece>(new SentencePiece(vocabulary));
}

SentencePiece::SentencePiece(const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), adds_space_(vocabulary.flag("add_space_prefix", true)) {}

void SentencePiece::encode(std::string_view text, bool at_start, std::vector<TokenId>& out) const {
  std::string marked;
  marked.reserve(text.size() + text.size() / 4);
  if (at_start && adds_space_) marked += space_mark;
  for (const char byte : text) {
    if (byte == ' ') {
      marked += space_mark;
    } else {
      marked += byte;
    }
  }
  Chain chain;
  const std::string_view all = marked;
  for (std::size_t i = 0; i < all.size();) {
    const std::string_view piece = all.substr(i, character_bytes(static_cast<unsigned char>(all[i])));
    i += piece.size();
    const auto index = static_cast<std::int32_t>(chain.links.size());
    chain.links.push_back({piece, index - 1, i < all.size() ? index + 1 : -1});
  }
  for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(chain.links.size()); ++i) propose(chain, i);
  merge(chain);
  for (const Chain::Link& link : chain.links) {
    if (!link.piece.empty()) emit(link.piece, out);
  }
}

// Offers the merge of the link at `left` with its neighbour, where there is one. The two lie side by side in the text.
void SentencePiece::propose(Chain& chain, std::int32_t left) const {
  if (left < 0) return;
  const auto& from = chain.links[static_cast<std::size_t>(left)];
  if (from.next < 0) return;
  const auto& to = chain.links[static_cast<std::size_t>(from.next)];
  const std::string_view both(from.piece.data(), from.piece.size() + to.piece.size());
  const TokenId token = vocabulary_.find_ordinary(both);
  if (token >= 0) chain.candidates.push({vocabulary_.score(token), left, from.next, both.size()});
}

void SentencePiece::merge(Chain& chain) const {
  while (!chain.candidates.empty()) {
    const Candidate best = chain.candidates.top();
    chain.candidates.pop();
    auto& left = chain.links[static_cast<std::size_t>(best.left)];
    auto& right = chain.links[static_cast<std::size_t>(best.right)];
    if (left.piece.empty() || right.piece.empty() || left.piece.size() + right.piece.size() != best.bytes) continue;
    left.piece = std::string_view(left.piece.data(), best.bytes);
    left.next = right.next;
    right.piece = {};
    if (right.next >= 0) chain.links[static_cast<std::size_t>(right.next)].previous = best.left;
    propose(chain, left.previous);
    propose(chain, best.left);
  }
}

void SentencePiece::emit(std::string_view piece, std::vector<TokenId>& out) const {
  if (const TokenId token = vocabulary_.find_ordinary(piece); token >= 0) {
    out.push_back(token);
    return;
  }
  const TokenId unknown = vocabulary_.special("unk");
  for (const char byte : piece) {
    const TokenId token = vocabulary_.byte_token(static_cast<unsigned char>(byte));
    if (token >= 0) {
      out.push_back(token);
    } else if (unknown >= 0) {
      out.push_back(unknown);
    }
  }
}

std::string SentencePiece::decode(TokenId token) const {
  std::string out;
  std::string_view text = vocabulary_.text(token);
  while (!text.empty()) {
    const bool space = text.starts_with(space_mark);
    out += space ? ' ' : text[0];
    text.remove_prefix(space ? space_mark.size() : 1);
  }
  return out;
}

}  // namespace flotilla
