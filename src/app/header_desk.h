// Gets a model's header: from the store, from a node that has the file, or from the head that computes with it. The
// header is all that planning and text need, so any node can answer for any model, also one that holds no layer.
//
// Thread: the loop's; fetching happens on the copy pool.
#pragma once

#include <functional>
#include <string>

#include "app/node_context.h"

namespace flotilla {

class HeaderDesk {
 public:
  explicit HeaderDesk(NodeContext& context) : context_(context) {}

  // not_found lists the models there are. Calls back on the loop, never from inside want(). An empty fingerprint means
  // any.
  using OnHeader = std::function<void(Result<StoredModel>)>;
  // `also_at`: a node that is known to have it, where no other has.
  void want(const std::string& model, const std::string& fingerprint, const OnHeader& on_header,
            const NodeId& also_at = {});

 private:
  void look_again(const std::string& model, const std::string& fingerprint, const OnHeader& on_header);

  NodeContext& context_;
};

}  // namespace flotilla
