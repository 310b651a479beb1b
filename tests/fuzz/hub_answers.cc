// What a hub says: listings, commits, searches, and the heads of answers with bytes. The first byte chooses.
#include "hub/hub_answers.h"

#include <format>

#include "fuzz.h"
#include "hub/hub_limits.h"
#include "hub/model_reference.h"

namespace flotilla::fuzz {
namespace {

const std::string repository = "org/name", address = "https://hub.example/api";

void claim_sentence(const Error& error) {
  claim(error.message.starts_with("[hub] expected "), "an error is a sentence");
}

void read_json(std::string_view text) {
  const std::string body(text);
  const auto commit = read_commit(body, repository, address);
  commit ? claim(is_hex(*commit, 40), "a commit is one") : claim_sentence(commit.error());
  const auto found = read_search(body, 5, address);
  if (!found) claim_sentence(found.error());
  for (const std::string& name : found.value_or(std::vector<std::string>()))
    claim(is_repository(name), "a repository is one");
  const auto page = read_listing_page(body, repository, address);
  if (!page) return claim_sentence(page.error());
  claim(page->files.size() <= page->items, "no file that was not listed");
  for (const HubFile& file : page->files) {
    claim(is_inner_path(file.path) && file.path.ends_with(".gguf"), "a path stays within");
    claim(file.bytes > 0 && file.bytes <= hub_limits::file_bytes_max, "a size is one");
    claim(file.sha256.empty() || is_hex(file.sha256, 64), "a hash is one");
  }
  // Any choice of such files is one of them.
  const auto chosen = choose_files(page->files, repository, "");
  if (chosen) claim(!chosen->empty() && chosen->size() <= page->files.size(), "what is chosen was listed");
}

// Lines of headers, then what was asked for: only what fits it passes.
void read_head(Input input) {
  const auto status = input.number<std::uint8_t>();
  const std::uint64_t begin = input.number<std::uint16_t>(), bytes = 1 + std::uint64_t{input.number<std::uint16_t>()};
  HubAnswer answer{.status = status % 2 == 0 ? 206 : 200, .headers = {}, .body = {}};
  for (const char* name : {"content-range", "content-length", "link", "ratelimit", "retry-after", "x-linked-size",
                           "x-repo-commit", "x-linked-etag"})
    answer.headers[name] = input.text_until('\n');
  const FilePlace place{.repository = repository,
                        .commit = std::string(40, 'c'),
                        .file = {.path = "m.gguf", .bytes = begin + bytes, .sha256 = std::string(64, 'a')}};
  const auto ranged = check_range_head(answer, place, begin, begin + bytes);
  const std::string expected = std::format("bytes {}-{}/{}", begin, begin + bytes - 1, begin + bytes);
  if (ranged) claim(answer.status == 206 && answer.header("content-range") == expected, "a range is the one asked for");
  if (!ranged) claim_sentence(ranged.error());
  if (const auto whole = check_head(answer, place, begin); !whole) claim_sentence(whole.error());
  if (const auto redirect = check_redirect(answer, place); !redirect) claim_sentence(redirect.error());
  claim(next_page(answer.header("link")).size() <= answer.header("link").size(), "an address is part of its header");
  claim(wait_asked_for(answer) >= std::chrono::seconds(0), "a wait is none into the past");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla::fuzz;
  Input input(data, size);
  if (input.number<std::uint8_t>() % 2 == 0)
    read_json(input.rest_text());
  else
    read_head(input);
  return 0;
}
