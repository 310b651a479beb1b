#include "server/scripted_backend.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace flotilla {
namespace {

namespace asio = boost::asio;

class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool adds_bos = true) : adds_bos_(adds_bos) {}
  std::vector<TokenId> encode(std::span<const TextPiece> pieces, bool add_special) const override {
    std::vector<TokenId> tokens;
    if (add_special && adds_bos_) tokens.push_back(scripted_bos);
    for (const auto& piece : pieces) {
      for (const char c : piece.text) tokens.push_back(static_cast<unsigned char>(c));
    }
    return tokens;
  }
  std::string piece(TokenId token, bool show_special) const override {
    if (token < scripted_bos) return std::string(1, static_cast<char>(token));
    if (!show_special) return {};
    return token == scripted_bos ? "<s>" : "</s>";
  }
  std::string decode(std::span<const TokenId> tokens, bool show_special) const override {
    std::string text;
    for (const auto token : tokens) text += piece(token, show_special);
    return text;
  }
  std::uint32_t size() const override { return 258; }
  TokenId bos() const override { return scripted_bos; }
  TokenId eos() const override { return scripted_end; }
  bool adds_bos() const override { return adds_bos_; }
  bool strips_leading_space() const override { return false; }
  const std::vector<TokenId>& end_of_generation() const override { return ends_; }
  const std::string& chat_template() const override { return template_; }
  TokenKind kind(TokenId token) const override { return token < scripted_bos ? TokenKind::byte : TokenKind::control; }
  TokenId find(std::string_view text) const override {
    return text.size() == 1 ? static_cast<unsigned char>(text.front()) : -1;
  }
  std::size_t token_bytes_max() const override { return 1; }
  const std::vector<std::string>& reserved_texts() const override { return reserved_; }

 private:
  bool adds_bos_;
  std::vector<TokenId> ends_{scripted_end};
  std::vector<std::string> reserved_;
  std::string template_ = "scripted";
};

class LineTemplate : public ChatTemplate {
 public:
  Result<std::vector<TokenId>> render(const Conversation& conversation) const override {
    FLOTILLA_TRY(const auto text, render_text(conversation));
    const std::vector<TextPiece> pieces{{text, false}};
    return scripted_tokenizer()->encode(pieces, true);
  }
  Result<std::string> render_text(const Conversation& conversation) const override {
    std::string text = conversation.tools.empty() ? "" : "tools: " + conversation.tools + "\n";
    for (const auto& message : conversation.messages) {
      if (message.content == "refuse me") return fail(Code::invalid_argument, "[text] the template refuses: no");
      text += message.role + (message.name.empty() ? "" : " " + message.name) + ": " + message.content;
      if (!message.reasoning.empty()) text += " (" + message.reasoning + ")";
      for (const auto& call : message.calls) text += " " + call.id + " " + call.name + call.arguments;
      text += "\n";
    }
    if (!conversation.add_generation_prompt) return text;
    return text + "assistant: " + (conversation.thinks.value_or(false) ? "<think>\n" : "");
  }
  const AnswerFormat& answer_format() const override { return format_; }

 private:
  AnswerFormat format_{.calls = CallFormat::hermes, .thinks = true};
};

constexpr std::uint32_t scripted_vector_length = 4;
constexpr std::string_view words[] = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"};

std::string counting(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i)
    text += (text.empty() ? "" : " ") + std::string(words[i % std::size(words)]);
  return text;
}

TokenEvent token_event(const GenerateRequest& request, std::int32_t index, TokenId token) {
  TokenEvent event{
      .id = request.id, .index = index, .has_token = true, .token = token, .logprob = -0.25f, .top = {}, .error = {}};
  for (std::int32_t k = 0; k < request.top_logprobs; ++k) {
    event.top.push_back({(token + k) % 256, -0.25f - static_cast<float>(k)});
  }
  return event;
}

TokenEvent end_event(RequestId id, std::int32_t index, FinishReason reason, std::optional<Error> error = {}) {
  return {.id = id, .index = index, .top = {}, .finish = reason, .error = std::move(error)};
}

}  // namespace

std::shared_ptr<const Tokenizer> scripted_tokenizer() {
  static const auto tokenizer = std::make_shared<const ByteTokenizer>();
  return tokenizer;
}

std::shared_ptr<const ChatTemplate> scripted_template() {
  static const auto chat_template = std::make_shared<const LineTemplate>();
  return chat_template;
}

struct ScriptedBackend::Script {
  Script(asio::io_context& loop, GenerateRequest r, OnToken t)
      : request(std::move(r)), on_token(std::move(t)), timer(loop) {}
  GenerateRequest request;
  OnToken on_token;
  asio::steady_timer timer;
  std::string text;
  std::size_t next = 0;
  std::int32_t fails_at = -1;
};

ScriptedBackend::ScriptedBackend(asio::io_context& loop, std::chrono::milliseconds token_pause)
    : loop_(loop), token_pause_(token_pause) {}

ScriptedBackend::~ScriptedBackend() { helper_.join(); }

std::vector<ModelListing> ScriptedBackend::models() {
  std::vector<ModelListing> listings;
  for (const auto* name : {"tiny", "org/tiny", "slow-loading"}) {
    listings.push_back(
        {.name = name, .state = "ready", .created = 1700000000, .file_bytes = 1, .context_tokens = context_tokens});
  }
  return listings;
}

std::shared_ptr<const OpenModel> ScriptedBackend::model(const std::string& name) const {
  return std::make_shared<const OpenModel>(OpenModel{.name = name,
                                                     .placement = {0x5c},
                                                     .context_tokens = context_tokens,
                                                     .tokenizer = scripted_tokenizer(),
                                                     .chat_template = scripted_template()});
}

void ScriptedBackend::open(const std::string& name, ModelUse use, OnOpen on_open) {
  const bool embeds = name.ends_with("vectors");
  if (use != ModelUse::text_only && embeds != (use == ModelUse::embed)) return on_open(fail(wrong_use(name, use)));
  if (embeds) {
    OpenModel opened = *model(name);
    opened.vector_length = scripted_vector_length;
    if (name == "bare-vectors") opened.tokenizer = std::make_shared<const ByteTokenizer>(false);
    return on_open(std::make_shared<const OpenModel>(std::move(opened)));
  }
  const auto known = models();
  if (std::ranges::find(known, name, &ModelListing::name) == known.end()) {
    return on_open(fail(Code::not_found, "[hub] expected a model we have but got {}; there are tiny, org/tiny", name));
  }
  if (name == "slow-loading") {
    opening_.emplace_back(name, std::move(on_open));
    return count(held_count_);
  }
  on_open(model(name));
}

void ScriptedBackend::finish_opening(Result<void> outcome) {
  for (auto& [name, on_open] : std::exchange(opening_, {})) {
    on_open(outcome ? Result<std::shared_ptr<const OpenModel>>(model("tiny")) : fail(outcome.error()));
  }
}

void ScriptedBackend::generate(GenerateRequest request, OnToken on_token) {
  if (on_generate) on_generate(request);
  const auto id = request.id;
  const auto script = std::make_shared<Script>(loop_, std::move(request), std::move(on_token));
  scripts_[id] = script;
  const auto prompt = scripted_tokenizer()->decode(script->request.prompt, false);
  if (prompt.contains("[manual]")) {
    held.push_back(std::make_shared<Held>(Held{script->request, script->on_token}));
    return count(held_count_);
  }
  if (prompt.contains("[full]")) {
    return asio::post(loop_, [this, script] {
      scripts_.erase(script->request.id);
      script->on_token(
          end_event(script->request.id, 0, FinishReason::failed, Error{Code::busy, "[scheduler] the queue is full"}));
    });
  }
  if (prompt.contains("[broken]")) script->fails_at = 3;
  if (const auto at = prompt.rfind("[say]"); at != std::string::npos) {
    // The last line is the assistant's, which has begun.
    const auto from = at + std::string_view("[say]").size();
    script->text = prompt.substr(from, prompt.rfind('\n', prompt.rfind("assistant: ")) - from);
    return play(script);
  }
  const auto budget = script->request.tokens_max;
  const bool endless = prompt.contains("forever") || script->request.stop_tokens.empty();
  script->text =
      counting(endless ? std::min<std::size_t>(budget, endless_bytes_max) : 23);  // "one two three four five"
  if (!endless) script->text.resize(23);
  play(script);
}

void ScriptedBackend::play(const std::shared_ptr<Script>& script) {
  script->timer.expires_after(token_pause_);
  script->timer.async_wait([this, script](const boost::system::error_code& error) {
    if (!error && scripts_.contains(script->request.id)) step(script);
  });
}

void ScriptedBackend::step(const std::shared_ptr<Script>& script) {
  const auto& request = script->request;
  const auto id = request.id;
  const auto index = static_cast<std::int32_t>(script->next);
  if (index == 0 && request.prompt_logprobs) {
    const auto count = static_cast<std::int32_t>(request.prompt.size());
    for (std::int32_t i = 1; i < count && scripts_.contains(id); ++i) {
      script->on_token(token_event(request, i - count, request.prompt[static_cast<std::size_t>(i)]));
    }
    if (!scripts_.contains(id)) return;
  }
  const bool spent = script->next >= request.tokens_max, said = script->next >= script->text.size();
  if (index == script->fails_at || spent || said) {
    scripts_.erase(id);
    if (index == script->fails_at) {
      return script->on_token(
          end_event(id, index, FinishReason::failed, Error{Code::unavailable, "[pipeline] a stage was lost"}));
    }
    return script->on_token(end_event(id, index, said && !spent ? FinishReason::stop : FinishReason::length));
  }
  script->on_token(token_event(request, index, static_cast<unsigned char>(script->text[script->next++])));
  if (scripts_.contains(id)) play(script);
}

void ScriptedBackend::embed(EmbedRequest request, OnVectors on_vectors) {
  TextVectors vectors{.length = scripted_vector_length, .values = {}};
  for (const TextTokens& text : request.texts) {
    if (scripted_tokenizer()->decode(text, false).contains("[held]")) {
      held_vectors_[request.id] = std::move(on_vectors);
      return count(held_count_);
    }
    const float values[] = {static_cast<float>(text.size()), static_cast<float>(text.front()),
                            static_cast<float>(text.back()), 1};
    float squares = 0;
    for (const float value : values) squares += value * value;
    for (const float value : values) vectors.values.push_back(value / std::sqrt(squares));
  }
  asio::post(loop_, [on_vectors = std::move(on_vectors), vectors = std::move(vectors)]() mutable {
    on_vectors(std::move(vectors));
  });
}

void ScriptedBackend::cancel_embedding(RequestId id) {
  held_vectors_.erase(id);
  count(cancelled_count_);
}

void ScriptedBackend::cancel(RequestId id) {
  scripts_.erase(id);
  count(cancelled_count_);
}

void ScriptedBackend::emit(Held& to, std::string_view text) {
  for (const char c : text) {
    if (!scripts_.contains(to.request.id)) return;
    to.on_token(token_event(to.request, to.index++, static_cast<unsigned char>(c)));
  }
}

void ScriptedBackend::end(Held& to, FinishReason reason, std::optional<Error> error) {
  if (scripts_.erase(to.request.id) > 0) to.on_token(end_event(to.request.id, to.index, reason, std::move(error)));
}

nlohmann::json ScriptedBackend::cluster() { return {{"nodes", nlohmann::json::array()}, {"placements", placements()}}; }
void ScriptedBackend::doctor(OnJson on_done) { on_done(nlohmann::json{{"health", "ok"}}); }
nlohmann::json ScriptedBackend::placements() { return nlohmann::json::array(); }

// Half of it, then all.
std::function<void()> ScriptedBackend::pull(const std::string& model, const std::string&, OnLine on_line,
                                            OnJson on_done) {
  if (model != "tiny") return on_done(fail(Code::not_found, "[hub] there is no {}", model)), nullptr;
  for (const std::uint64_t done : {5, 10})
    on_line({{"progress", {{"done_bytes", done}, {"total_bytes", 10}, {"digest", std::string(64, 'd')}}}});
  on_done(nlohmann::json{{"name", model}, {"bytes", 10}});
  return nullptr;
}
nlohmann::json ScriptedBackend::pulls() { return {{"pulls", nlohmann::json::array()}}; }
void ScriptedBackend::remove(const std::string& model, OnJson on_done) {
  if (model != "tiny") return on_done(fail(Code::busy, "[app] {} is loaded", model));
  on_done(nlohmann::json{{"model", model}, {"freed_bytes", 10}});
}
void ScriptedBackend::search_hub(const std::string& text, OnLine on_found) {
  on_found({{"models", nlohmann::json::array({nlohmann::json{{"name", text}, {"kind", "hub"}}})}});
}

std::function<void()> ScriptedBackend::trust(const std::string& wish, const nlohmann::json& arguments,
                                             std::function<void(nlohmann::json)> on_progress, OnJson on_done) {
  if (wish == "join") on_progress({{"code", "042917"}, {"machine", "studio"}});
  on_done(nlohmann::json{{"wish", wish}, {"arguments", arguments}});
  return [] {};
}

std::function<void()> ScriptedBackend::measure(const nlohmann::json& arguments,
                                               std::function<void(nlohmann::json)> on_progress, OnJson on_done) {
  if (arguments.value("never", false)) {
    unanswered_.push_back(std::move(on_done));
    count(held_count_);
    return [this] { count(cancelled_count_); };
  }
  if (arguments.value("again", false)) on_progress({{"text", "timing"}, {"done", 0}, {"total", 1}});
  on_done(nlohmann::json{{"shards", 1}});
  return [] {};
}

void ScriptedBackend::load(const nlohmann::json& arguments, std::function<void(nlohmann::json)> on_progress,
                           OnJson on_done) {
  const auto name = arguments.value("model", "");
  if (name == "absent") return on_done(fail(Code::not_found, "[hub] expected a model we have but got absent"));
  on_progress({{"text", "reading"}, {"done_bytes", 1}, {"total_bytes", 2}});
  if (name == "too-big") return on_done(fail(Code::no_memory, "[planner] 3 GiB are missing"));
  on_progress({{"text", "reading"}, {"done_bytes", 2}, {"total_bytes", 2}});
  on_done(nlohmann::json{{"model", name}, {"state", "ready"}});
}

void ScriptedBackend::unload(const nlohmann::json& arguments, OnJson on_done) {
  on_done(nlohmann::json{{"model", arguments["model"]}, {"state", "unloaded"}});
}

void ScriptedBackend::plan(const nlohmann::json& arguments, OnJson on_done) {
  on_done(nlohmann::json{{"arguments", arguments}});
}

void ScriptedBackend::show(const std::string& name, OnJson on_done) {
  if (name != "org/tiny") return on_done(fail(Code::not_found, "[hub] expected a model we have but got {}", name));
  on_done(nlohmann::json{{"family", "scripted"},
                         {"architecture", "scripted"},
                         {"context_length", context_tokens},
                         {"capabilities", {"tools", "thinking"}}});
}

void ScriptedBackend::run_aside(std::function<void()> work, std::function<void()> done) {
  asio::post(helper_, [this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    asio::post(loop_, std::move(done));
  });
}

void ScriptedBackend::count(std::size_t& counter) {
  {
    const std::scoped_lock lock(mutex_);
    ++counter;
  }
  changed_.notify_all();
}

bool ScriptedBackend::wait(const std::size_t& counter, std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return counter >= count; });
}

bool ScriptedBackend::wait_for_held(std::size_t count) { return wait(held_count_, count); }
bool ScriptedBackend::wait_for_cancelled(std::size_t count) { return wait(cancelled_count_, count); }

std::size_t ScriptedBackend::cancelled_count() {
  const std::scoped_lock lock(mutex_);
  return cancelled_count_;
}

}  // namespace flotilla
