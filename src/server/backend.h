// What the HTTP side needs from the node: the seam between server and everything that computes. The node implements it
// (app/), tests give a scripted one.
//
// Thread: everything here is called, and calls back, on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "wire/embedding.h"
#include "wire/generate.h"

namespace flotilla {

struct ModelListing {
  std::string name, state;   // state: "ready", "loading", "on disk"
  std::int64_t created = 0;  // seconds since 1970; OpenAI's clients want one: when this node started
  std::uint64_t file_bytes = 0;
  std::uint32_t context_tokens = 0;  // of the placement, else trained; 0 where only other nodes have the file
};

// What a request wants of a model: one that generates text makes no vectors, nor the other way round.
enum class ModelUse : std::uint8_t { generate, embed, text_only };  // text_only: its tokens

// The refusal of a model for another use than its own.
Error wrong_use(const std::string& model, ModelUse use);

// A model that can answer now.
struct OpenModel {
  std::string name;
  PlacementId placement;
  std::uint32_t context_tokens = 0;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;
  std::uint32_t vector_length = 0;  // of a model that makes vectors of texts, in values; 0: it generates text
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::vector<ModelListing> models() = 0;

  // Loads the model where no placement holds it. not_found (lists what there is), no_memory, unavailable; unsupported,
  // before anything is loaded, where it is none for this use.
  using OnOpen = std::function<void(Result<std::shared_ptr<const OpenModel>>)>;
  virtual void open(const std::string& model, ModelUse use, OnOpen on_open) = 0;

  // Events of one request in order, the last with a finish reason. After cancel() none follows, not even that one.
  using OnToken = std::function<void(TokenEvent)>;
  virtual void generate(GenerateRequest request, OnToken on_token) = 0;
  virtual void cancel(RequestId id) = 0;
  // Its model was lost, and it goes on once that is loaded again.
  virtual bool waits(RequestId id) = 0;

  // Vectors of all texts, once, later. After cancel_embedding() nothing comes.
  using OnVectors = std::function<void(Result<TextVectors>)>;
  virtual void embed(EmbedRequest request, OnVectors on_vectors) = 0;
  virtual void cancel_embedding(RequestId id) = 0;

  virtual bool ready() = 0;              // a model can answer
  virtual nlohmann::json cluster() = 0;  // the body of GET /cluster (docs/api.md)
  virtual void metrics(MetricsText&) {}  // what the node counts, after what the server does: GET /metrics
  // Management, each answering with a JSON body. `arguments` is an object: the request's JSON body, or its query (then
  // every value is a string). load: what `on_progress` gets goes out as a line {"progress": …}, what `on_done` gets as
  // the last line {"placement": …}.
  using OnJson = std::function<void(Result<nlohmann::json>)>;
  virtual void load(const nlohmann::json& arguments, std::function<void(nlohmann::json)> on_progress,
                    OnJson on_done) = 0;
  virtual void unload(const nlohmann::json& arguments, OnJson on_done) = 0;
  virtual void plan(const nlohmann::json& arguments, OnJson on_done) = 0;
  virtual void show(const std::string& model, OnJson on_done) = 0;
  virtual void doctor(OnJson on_done) = 0;  // what keeps this machine or its fleet from working: app/checkup.h
  virtual nlohmann::json placements() = 0;  // the body of GET /placements, for `flotilla ps`
  // What this machine can do, measured first where it is not known or the arguments say {"again": true}; lines as
  // load's, the last {"rates": …}. Gives what is to be called when nobody reads them any more.
  virtual std::function<void()> measure(const nlohmann::json& arguments,
                                        std::function<void(nlohmann::json)> on_progress, OnJson on_done) = 0;

  // Models of a hub (docs/api.md, "Models"). pull: `on_line` gets whole lines, {"progress": …} or {"note": …},
  // `on_done` what was pulled; what it gives is to be called when nobody reads them any more. search_hub: what fits a
  // text.
  using OnLine = std::function<void(const nlohmann::json& line)>;
  virtual std::function<void()> pull(const std::string& model, const std::string& revision, OnLine on_line,
                                     OnJson on_done) = 0;
  virtual nlohmann::json pulls() = 0;
  virtual void remove(const std::string& model, OnJson on_done) = 0;
  virtual void search_hub(const std::string& text, OnLine on_found) = 0;

  // Who belongs to this machine's cluster. `wish`: "members", "tokens" (bodies for GET), "token" {"ttl_seconds",
  // "uses"}, "tokens/revoke" {"id"}, "join" {"token" or none, "peer" or none, "confirm" or none}, "approve" {"code"},
  // "revoke" {"name"}, "leave" {"force"}.
  // Only "join" has progress: {"code", "machine"}. Gives what is to be called when nobody reads them any more.
  virtual std::function<void()> trust(const std::string& wish, const nlohmann::json& arguments,
                                      std::function<void(nlohmann::json)> on_progress, OnJson on_done) = 0;

  // CPU-heavy text work (templates, tokenizing) off the loop: runs `work` on a helper, then `done` on the loop.
  // `work` may be destroyed anywhere, `done` on the loop's thread only.
  virtual void run_aside(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace flotilla
