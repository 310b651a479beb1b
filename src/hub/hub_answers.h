// What a hub's answers say, and whether they may be believed: JSON of its API, and the heads of answers with bytes.
// Nothing that comes out is other than it must look like. Thread: any; pure (tests/fuzz/hub_answers.cc).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/file_choice.h"
#include "hub/http_get.h"

namespace flotilla {

// A file at a commit.
struct FilePlace {
  std::string repository, commit;
  HubFile file;
};

// --- JSON; `address` for messages. corrupt says what was expected ----------------------------------------------------
Result<std::string> read_commit(const std::string& body, const std::string& repository, const std::string& address);

struct ListingPage {
  std::size_t items = 0;       // of any kind
  std::vector<HubFile> files;  // GGUF files: their paths stay within a folder, sizes are ones that files can have
};
Result<ListingPage> read_listing_page(const std::string& body, const std::string& repository,
                                      const std::string& address);
Result<std::vector<std::string>> read_search(const std::string& body, std::size_t count_max,
                                             const std::string& address);

// --- Heads -----------------------------------------------------------------------------------------------------------
// Where a Link header leads to; empty where it names no next page.
std::string next_page(const std::string& link);
std::chrono::seconds wait_asked_for(const HubAnswer& answer);  // by a 429

std::unexpected<Error> wrong_length(const FilePlace& place, const std::string& got);
// Whether what begins here is the file from `offset` on, or, from a hub that knows no ranges, all of it.
Status check_head(const HubAnswer& answer, const FilePlace& place, std::uint64_t offset);
// Whether it is the bytes from `begin` to `end` and nothing else.
Status check_range_head(const HubAnswer& answer, const FilePlace& place, std::uint64_t begin, std::uint64_t end);
// Whether the address that stands in for the file's is said to be of the same file.
Status check_redirect(const HubAnswer& answer, const FilePlace& place);

}  // namespace flotilla
