#include "pipeline/embedding.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/log.h"
#include "pipeline/meter.h"
#include "pipeline/plan_files.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

std::size_t tokens_of(const EmbedRequest& batch) {
  return std::ranges::fold_left(batch.texts, std::size_t{0},
                                [](std::size_t sum, const TextTokens& text) { return sum + text.size(); });
}

class EmbedLoop {
 public:
  EmbedLoop(Embedder& embedder, NodeLine& node, StepClock& clock, const PrepareStage& plan)
      : embedder_(embedder), node_(node), clock_(clock), plan_(plan), meter_(node, plan, nullptr, nullptr) {}

  Status serve() {
    while (!node_.ended()) {
      if (waiting_.empty()) {
        meter_.send_rest();
        if (auto command = node_.next()) obey(*std::move(command));
      }
      while (auto command = node_.try_next()) obey(*std::move(command));
      if (!waiting_.empty()) compute(take_step());
    }
    return {};
  }

 private:
  void obey(Command command) {
    auto* batch = std::get_if<EmbedRequest>(&command);
    if (!batch) return log(LogLevel::warning, "pipeline", "a command that no embedder knows is passed over");
    if (const auto fits = check(*batch); !fits) return refuse(batch->id, fits.error());
    waiting_.push_back(std::move(*batch));
  }

  Status check(const EmbedRequest& batch) const {
    for (const TextTokens& text : batch.texts) FLOTILLA_TRY_STATUS(embedder_.check_text(text));
    if (tokens_of(batch) <= embedder_.tokens_max()) return {};
    return fail(Code::too_large, "[pipeline] expected a batch of at most {} tokens but got {}", embedder_.tokens_max(),
                tokens_of(batch));
  }

  // Whole batches, the oldest first.
  std::vector<EmbedRequest> take_step() {
    std::vector<EmbedRequest> step;
    std::size_t room = embedder_.tokens_max();
    while (!waiting_.empty() && tokens_of(waiting_.front()) <= room) {
      room -= tokens_of(waiting_.front());
      step.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return step;
  }

  void compute(const std::vector<EmbedRequest>& step) {
    std::vector<const TextTokens*> texts;
    std::size_t rows = 0;
    for (const EmbedRequest& batch : step) {
      rows += tokens_of(batch);
      for (const TextTokens& text : batch.texts) texts.push_back(&text);
    }
    const auto begun = Clock::now();
    const auto vectors = [&] {
      const TimedStep timed(clock_, rows);
      return embedder_.embed(texts);
    }();
    meter_.add_step(rows, rows, {.compute = Clock::now() - begun});
    vectors ? answer(step, *vectors) : refuse_all(step, vectors.error());
    meter_.send_if_due(Clock::now(), static_cast<std::uint32_t>(step.size()),
                       static_cast<std::uint32_t>(waiting_.size()));
  }

  void answer(const std::vector<EmbedRequest>& step, std::span<const float> vectors) {
    const std::uint32_t length = embedder_.spec().embedding_length;
    for (const EmbedRequest& batch : step) {
      const auto own = std::as_bytes(vectors.first(batch.texts.size() * length));
      vectors = vectors.subspan(batch.texts.size() * length);
      node_.send(
          FrameKind::embedding,
          encode(EmbedResult{.id = batch.id, .length = length, .vectors = Bytes(own.begin(), own.end()), .error = {}}),
          plan_.epoch);
    }
  }

  void refuse_all(const std::vector<EmbedRequest>& step, const Error& cause) {
    for (const EmbedRequest& batch : step) refuse(batch.id, cause);
  }

  void refuse(RequestId id, const Error& cause) {
    node_.send(FrameKind::embedding, encode(EmbedResult{.id = id, .vectors = {}, .error = cause}), plan_.epoch);
  }

  Embedder& embedder_;
  NodeLine& node_;
  StepClock& clock_;
  const PrepareStage& plan_;
  Meter meter_;
  std::deque<EmbedRequest> waiting_;
};

}  // namespace

Result<std::unique_ptr<Embedder>> load_embedder(const PrepareStage& plan, const LoadProgressFn& progress) {
  FLOTILLA_TRY_STATUS(start_engine());
  FLOTILLA_TRY(const auto gguf, open_files(plan));
  return Embedder::load(*gguf, files_of(plan), plan.threads * std::max(plan.shards, 1u), progress);
}

Status run_embedder(Embedder& embedder, NodeLine& node, StepClock& clock, const PrepareStage& plan) {
  return EmbedLoop(embedder, node, clock, plan).serve();
}

}  // namespace flotilla
