// What this machine's owner orders of who belongs to the cluster, and what is told of that.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/admit_desk.h"
#include "base/hex.h"

namespace flotilla {

using nlohmann::json;

namespace {

auto telling(AdmitDesk::OnText on_text) {
  return [on_text = std::move(on_text)](const TrustAnswer& answer) {
    if (answer.ok) return on_text(answer.text);
    on_text(fail(error_of(answer)));
  };
}

}  // namespace

void AdmitDesk::create_token(std::uint32_t seconds, std::uint32_t uses, OnText on_token) {
  if (const auto begun = begin_cluster(); !begun) return on_token(fail(begun.error()));
  // Any member may say that it signs; a token of another's cluster would lead newcomers there.
  const auto of_this_cluster = [this, on_token = std::move(on_token)](const Result<std::string>& made) {
    if (!made) return on_token(made);
    const auto token = JoinToken::parse(*made);
    const auto cluster = context_.identity.standing->cluster();  // it may have left meanwhile
    if (!token || !cluster || !token->names(*cluster))
      return on_token(fail(Code::corrupt,
                           "[app] expected a token of this cluster but the machine that says it signs gave something "
                           "else; flotilla members shows who says so: put out what is not yours"));
    on_token(made);
  };
  decide(
      context_.identity.node,
      {.wish = TrustWish::create_token, .name = context_.identity.name, .code = {}, .seconds = seconds, .uses = uses},
      telling(of_this_cluster));
}

void AdmitDesk::approve(const std::string& code, OnText on_name) {
  decide(context_.identity.node, {.wish = TrustWish::approve, .name = context_.identity.name, .code = code},
         telling(std::move(on_name)));
}

void AdmitDesk::list_tokens(OnJson on_list) {
  if (!context_.identity.standing->cluster())
    return on_list(
        fail(Code::unavailable, "[app] this machine belongs to no cluster; flotilla token create begins one"));
  decide(context_.identity.node, {.wish = TrustWish::list_tokens, .name = context_.identity.name, .code = {}},
         [this, on_list = std::move(on_list)](const TrustAnswer& answer) {
           if (!answer.ok) return on_list(fail(error_of(answer)));
           const ClusterView view = context_.view();
           json list = json::array();
           for (const TokenGiven& each : answer.tokens) {
             const Member* maker = view.find(each.maker);
             list.push_back({{"id", to_hex(each.token)},
                             {"ends", std::format("{:%FT%TZ}", WallTime(std::chrono::seconds(each.ends)))},
                             {"uses", each.uses},
                             {"used", each.used},
                             {"made_by", maker ? json(maker->info.name) : json()}});
           }
           on_list(json{{"tokens", list}});
         });
}

void AdmitDesk::end_token(const std::string& id, OnText on_id) {
  const auto bytes = from_hex(id);
  TrustOrder order{.wish = TrustWish::end_token, .name = context_.identity.name, .code = {}};
  if (!bytes || bytes->size() != order.token.size())
    return on_id(
        fail(Code::invalid_argument,
             "[app] expected a token's id, {} digits and letters from a to f, but got '{}'; flotilla token list "
             "has them",
             2 * order.token.size(), id));
  std::ranges::copy(*bytes, order.token.begin());
  decide(context_.identity.node, std::move(order), telling(std::move(on_id)));
}

// A name proves nothing, and two machines may have had one: where it could be either, the owner says which.
Result<DeviceId> AdmitDesk::device_called(const std::string& name_or_id) const {
  if (const auto id = device_id_from_string(name_or_id)) return *id;
  const Standing& standing = *context_.identity.standing;
  auto called = standing.members_met();
  std::erase_if(called, [&](const KnownDevice& each) { return each.name != name_or_id; });
  const bool was_called = !called.empty();
  if (called.size() > 1)
    std::erase_if(called, [&](const KnownDevice& each) { return standing.is_revoked(each.device); });
  if (called.size() == 1) return called.front().device;
  if (called.empty()) {
    if (was_called)
      return fail(Code::not_found, "[app] every machine that was called {} is put out already", name_or_id);
    if (name_or_id == context_.identity.name)
      return fail(Code::invalid_argument, "[app] {} is this machine itself; flotilla leave takes it out of its cluster",
                  name_or_id);
    return fail(Code::not_found,
                "[app] expected the name or the id of a machine of this cluster but got '{}'; flotilla members lists "
                "those that this machine has met, and on the one that let it in also its name or id",
                name_or_id);
  }
  std::string ids;
  const ClusterView view = context_.view();
  for (const KnownDevice& each : called) {
    const Member* member = view.find(node_id_of(each.device));
    ids += std::format("{} {} ({})", ids.empty() ? "" : ",", to_string(each.device),
                       member ? to_string(member->state) : "away");
  }
  return fail(Code::invalid_argument, "[app] expected one machine but {} were called {}:{}; say its id", called.size(),
              name_or_id, ids);
}

void AdmitDesk::revoke(const std::string& name_or_id, OnText on_name) {
  if (!context_.identity.standing->cluster())
    return on_name(
        fail(Code::unavailable, "[app] this machine belongs to no cluster, so nobody is to be put out of it"));
  const auto device = device_called(name_or_id);
  if (!device) return on_name(fail(device.error()));
  decide(
      context_.identity.node, {.wish = TrustWish::revoke, .name = name_or_id, .device = device->bytes, .code = {}},
      telling([this, device = *device, on_name = std::move(on_name)](const Result<std::string>& name) {
        // Who signs tells everybody before it answers.
        if (name && !context_.identity.standing->is_revoked(device))
          return on_name(fail(Code::unavailable,
                              "[app] expected a signed list with {} from the machine that says it signs but none came, "
                              "so it is not put out; try again on the machine that began the cluster",
                              *name));
        on_name(name);
      }));
}

json AdmitDesk::members() const {
  const Standing& standing = *context_.identity.standing;
  const ClusterView view = context_.view();
  json list = json::array();
  const auto add = [&](const std::string& name, const DeviceId& device) {
    const Member* member = view.find(node_id_of(device));
    list.push_back({{"name", name},
                    {"id", to_string(device)},
                    {"state", standing.is_revoked(device) ? "put out"
                              : member                    ? std::string(to_string(member->state))
                                                          : "away"},
                    {"may_sign", member ? member->info.may_sign : false}});
  };
  add(context_.identity.name, standing.device());
  for (const auto& [device, name] : standing.members_met())
    if (device != standing.device()) add(name, device);
  const auto cluster = standing.cluster();
  const auto ends = standing.membership_ends();
  return {{"cluster", cluster ? json(to_string(*cluster)) : json()},
          {"trust", context_.identity.trust == TrustMode::trust_lan ? "--trust-lan"
                    : context_.identity.trust == TrustMode::secret  ? "--cluster-secret"
                                                                    : "certificate"},
          {"membership_ends", ends ? json(std::format("{:%FT%TZ}", *ends)) : json()},
          {"members", list},
          {"waiting", guests_.waiting()}};
}

}  // namespace flotilla
