// Asks a hub that speaks Hugging Face's protocol (docs/security.md, "A hub of models").
// In: names that were checked (model_reference.h).  Out: commits, listings, bytes.  Owns: the token, and patience: what
// may be tried again is, with growing pauses.  Thread: one; blocks.  Never: shows the token to another host than the
// endpoint's, goes from https to http, hands on a path, a commit or a hash that is not what it must look like.
//
//   GET ENDPOINT/api/models/ORG/NAME/revision/REVISION            "sha": the commit
//   GET ENDPOINT/api/models/ORG/NAME/tree/COMMIT?recursive=true   files; Link: <…>; rel="next": the next page
//   GET ENDPOINT/ORG/NAME/resolve/COMMIT/PATH                     the bytes, as a rule behind a redirect to a host
//                                                                 for them, good for a while
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/file_choice.h"
#include "hub/http_get.h"
#include "hub/hub_answers.h"
#include "hub/hub_settings.h"

namespace flotilla {

// How whoever waits is told, and ends it. Each may be empty.
struct PullWatch {
  std::function<void(std::uint64_t done, std::uint64_t total)> on_progress = {};  // bytes of all files
  std::function<void(const std::string& sentence)> on_note = {};                  // "the connection broke off; …"
  std::function<void(const HubFile& file)> on_file = {};                          // that comes from now on
  StopFn stop = {};

  bool stopped() const { return stop && stop(); }
  void note(const std::string& sentence) const {
    if (on_note) on_note(sentence);
  }
};

// What takes a file's bytes: from where on it wants them, and whether it must begin anew.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual std::uint64_t offset() const = 0;  // bytes it has
  virtual Status restart() = 0;              // from the first byte
  virtual Status add(std::span<const std::byte> bytes) = 0;
};

class HubClient {
 public:
  HubClient(HubSettings settings, unsigned tries, PullWatch watch)
      : settings_(std::move(settings)), tries_(tries), watch_(std::move(watch)) {}

  // Errors: not_found, unauthorized (a token is missing, or is not believed), permission (a licence is to be accepted),
  // busy (asked too often), closed and timeout (after all tries), corrupt and too_large (this is no hub, or a bad one).
  Result<std::string> commit_of(const std::string& repository, const std::string& revision);
  Result<std::vector<HubFile>> list(const std::string& repository, const std::string& commit);  // GGUF files alone
  // Until the sink has all bytes of the file. What it had before is not asked for again where the hub can do that.
  Status fetch(const FilePlace& place, ByteSink& sink);
  // From where the sink wants them on, up to `end`: not a byte more. unsupported where the hub gives no ranges.
  Status fetch_range(const FilePlace& place, std::uint64_t end, ByteSink& sink);
  // Names of repositories with GGUF files that have to do with a text, the hub's own choice and order.
  Result<std::vector<std::string>> search(const std::string& text, std::size_t count_max);

 private:
  Result<HubAnswer> get_json(const std::string& address, const std::string& repository);
  Result<HubAnswer> follow(HttpGet request, const std::string& repository,
                           const std::function<Status(const HubAnswer&)>& on_redirect);
  Status fetch_once(const FilePlace& place, ByteSink& sink, std::uint64_t end);
  Status persist(const std::function<Status()>& attempt, const std::function<std::uint64_t()>& reached);
  Status wait(std::chrono::milliseconds time);
  std::string token_for(const std::string& origin) const;
  Error refusal(const HubAnswer& answer, const std::string& repository, bool by_endpoint);

  const HubSettings settings_;
  const unsigned tries_;
  const PullWatch watch_;
  std::chrono::seconds rate_limit_wait_{0};  // what the last 429 asked for
  int rate_limit_waits_ = 0;
};

}  // namespace flotilla
