// The files of a simulated machine: the one model there is, whole, in part, or not at all. Nothing touches a disk.
// Thread: the one there is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hub/store.h"

namespace flotilla::sim {

inline constexpr std::uint32_t model_layers = 6;
inline constexpr const char* model_name = "tiny";

std::shared_ptr<const Gguf> make_model();  // its header

// At the other end of a copy: a store, for as long as the link lives.
class CopyLink final : public Link {
 public:
  explicit CopyLink(bool has_it) : has_it_(has_it) {}
  bool has_it() const { return has_it_; }
  Status send(const FrameHeader&, std::span<const std::byte>) override { return {}; }
  Status receive(Frame&, std::chrono::nanoseconds) override { return fail(Code::closed, "[sim] nothing comes"); }
  void close(Error) override {}

 private:
  const bool has_it_;
};

class SimulatedStore final : public Store {
 public:
  SimulatedStore(std::shared_ptr<const Gguf> model, bool is_complete);

  bool is_complete() const { return is_complete_; }

  void refresh() override {}
  std::uint64_t space_left() const override { return 0; }
  std::vector<StoredModel> list() override;
  Result<StoredModel> find(const std::string& model, const std::string& fingerprint) override;
  std::string why_skipped(const std::string&) override { return ""; }
  std::vector<FileRange> missing(const std::string&, const std::vector<FileRange>& ranges) override;
  Result<StoredModel> fetch_header(Link& link, const std::string& model, const std::string& fingerprint) override;
  Result<StoredModel> fetch_ranges(Link& link, const StoredModel& model, const std::vector<FileRange>& ranges,
                                   const FetchProgressFn& progress, const std::atomic<bool>& stop) override;
  Status verify(const std::string&, const std::vector<FileRange>&) override { return {}; }
  Status serve(Link&, const OnOtherFn&) override { return {}; }

 private:
  StoredModel stored() const;

  const std::shared_ptr<const Gguf> model_;
  const bool is_complete_;
  bool has_header_, has_ranges_;
};

}  // namespace flotilla::sim
