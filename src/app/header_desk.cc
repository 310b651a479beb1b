#include "app/header_desk.h"

#include "app/fleet.h"
#include "hub/model_reference.h"

namespace flotilla {
namespace {

Error no_such_model(const ClusterView& view, const std::string& model) {
  std::string known;
  for (const ModelInfo& info : models_of(view)) known += (known.empty() ? "" : ", ") + info.name;
  const auto reference = parse_model_reference(model);
  const bool is_of_hub = reference && reference->file.empty();
  return {
      Code::not_found,
      std::format("[app] no machine here has a model named '{}'{}{}{}", model,
                  known.empty() ? ", nor any other; `flotilla pull` lists some to get, or put its GGUF file into a "
                                  "models folder (flotilla serve --models DIR)"
                                : "; there are: ",
                  known,
                  is_of_hub
                      ? std::format("; to get it from a hub: flotilla pull {}, or flotilla load {}: then each machine "
                                    "fetches only its layers",
                                    model, model)
                      : "")};
}

}  // namespace

void HeaderDesk::want(const std::string& model, const std::string& fingerprint, const OnHeader& on_header,
                      const NodeId& also_at) {
  const auto answer = [this, on_header](Result<StoredModel> stored) {
    boost::asio::post(context_.loop, [on_header, stored = std::move(stored)] { on_header(stored); });
  };
  auto stored = context_.store.find(model, fingerprint);
  if (stored) return answer(std::move(stored));
  const ClusterView view = context_.view();
  auto source = header_source(view, model, fingerprint);
  if (const Member* other = view.find(also_at); !source && other && other->state == MemberState::joined)
    source = HeaderSource{also_at, fingerprint};
  if (!source) return look_again(model, fingerprint, on_header);
  // Listed a moment ago and no longer usable: the store knows more about it than the list.
  if (source->node == context_.identity.node) return answer(std::move(stored));
  const Member& member = *view.find(source->node);
  context_.copies.post([context = &context_, on_header, model, wanted = source->fingerprint, node = source->node,
                        host = member.host, port = member.info.cluster_port] {
    auto link = context->bulk(node, host, port);
    auto fetched = link ? context->store.fetch_header(**link, model, wanted) : Result<StoredModel>(fail(link.error()));
    boost::asio::post(context->loop, [on_header, fetched = std::move(fetched)] { on_header(fetched); });
  });
}

// A file may have come since the folders were looked into last.
void HeaderDesk::look_again(const std::string& model, const std::string& fingerprint, const OnHeader& on_header) {
  context_.copies.post([context = &context_, model, fingerprint, on_header] {
    context->store.refresh();
    auto stored = context->store.find(model, fingerprint);
    boost::asio::post(context->loop, [context, model, on_header, stored = std::move(stored)] {
      if (stored) return on_header(stored);
      on_header(fail(no_such_model(context->view(), model)));
    });
  });
}

}  // namespace flotilla
