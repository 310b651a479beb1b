// Finds out what model of a hub somebody means, for a load: where no machine here has a model of that name. The hub is
// asked on this machine, with its settings. In: names.  Out: the model's header, as a part in the store, with its
// origin. Thread: the loop's; the hub is asked on a pool of its own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/node_context.h"
#include "wire/control.h"

namespace flotilla {

class OriginDesk {
 public:
  explicit OriginDesk(NodeContext& context) : context_(context) {}
  ~OriginDesk() { stop_->store(true); }

  using OnNote = std::function<void(const std::string& sentence)>;
  using OnOrder = std::function<void(Result<LoadModel>)>;
  // The order with the model's own name, and where it comes from if a hub must be asked; as it came where the name is
  // known here or none of a hub's. Calls back on the loop, perhaps at once.
  void resolve(LoadModel order, OnNote on_note, OnOrder on_order);

  // What fits a text, of the short names and of the hub's own search: the body of GET /hub/models.
  void search(const std::string& text, std::function<void(nlohmann::json)> on_found);

 private:
  bool is_known(const std::string& model) const;
  Result<LoadModel> as_found(LoadModel order, const Result<StoredModel>& found) const;

  NodeContext& context_;
  std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace flotilla
