#include "app/admit_desk.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/words.h"
#include "cluster/printable.h"
#include "wire/handshake.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto tick_interval = 1s, answer_time_max = 5s;
constexpr auto renewal_interval = 60min, renewal_retry = 5min;

std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }

TrustAnswer failed(const Error& cause) {
  return {.ok = false, .text = {}, .granted = {}, .code = std::string(to_string(cause.code)), .message = cause.message};
}

Error error_of(const TrustAnswer& answer) { return {code_from_string(answer.code), answer.message}; }

TrustAnswer granted(Admission admission, const std::string& name) {
  return {.ok = true,
          .text = name,
          .granted = {.member = std::move(admission.member),
                      .cluster = std::move(admission.cluster),
                      .revocations = std::move(admission.revocations)},
          .code = {},
          .message = {}};
}

}  // namespace

AdmitDesk::AdmitDesk(NodeContext& context, std::function<Cluster&()> cluster)
    : context_(context), cluster_(std::move(cluster)), timer_(context.loop) {}

void AdmitDesk::begin() {
  renewal_due_ = now();
  tick();
}

void AdmitDesk::stop() { timer_.cancel(); }

void AdmitDesk::tick() {
  if (now() >= renewal_due_) renew();
  std::vector<OnAnswer> late;
  std::erase_if(asked_, [&](auto& entry) {
    if (now() < entry.second.until) return false;
    late.push_back(std::move(entry.second.on_answer));
    return true;
  });
  for (const auto& on_answer : late)
    on_answer(
        failed({Code::timeout, "[app] expected an answer from another machine of the cluster but none came in time"}));
  timer_.expires_after(tick_interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

// --- Guests --------------------------------------------------------------------------------------

void AdmitDesk::on_guest_frame(const Guest& guest, const Frame& frame) {
  const auto found = waiting_.find(guest.id);
  if (frame.header.kind == FrameKind::join_request && found == waiting_.end()) {
    auto request = decode_join_request(frame.body);
    if (!request) return refuse(guest.id, request.error());
    auto& waiting = waiting_[guest.id] = {.guest = guest, .request = *request, .code = {}};
    if (request->by_code) {
      waiting.nonce = random_pairing_nonce();
      return cluster_().send_to_guest(guest.id, make_frame(FrameKind::join_nonce, encode(JoinNonce{waiting.nonce})));
    }
    return decide(context_.identity.node,
                  {.wish = TrustWish::redeem,
                   .name = guest.peer.name,
                   .key = guest.key.bytes,
                   .token = request->token,
                   .proof = request->proof,
                   .exporter = guest.exporter,
                   .code = {}},
                  [this, id = guest.id](const TrustAnswer& answer) { grant(id, answer); });
  }
  const auto revealed = frame.header.kind == FrameKind::join_reveal ? decode_join_nonce(frame.body)
                                                                    : Result<JoinNonce>(fail(Code::corrupt, "[app] ?"));
  if (!revealed || found == waiting_.end() || !found->second.request.by_code || !found->second.code.empty() ||
      !equal_in_constant_time(commitment_to(revealed->nonce), found->second.request.commitment))
    return refuse(guest.id, {Code::corrupt, "[app] expected a newcomer that follows the protocol; it is broken"});
  found->second.code = pairing_code({.exporter = guest.exporter,
                                     .newcomer = guest.key.id(),
                                     .member = context_.identity.standing->device(),
                                     .newcomer_nonce = revealed->nonce,
                                     .member_nonce = found->second.nonce});
  if (complaints_.may_speak_of(guest.host, now()))
    log(LogLevel::warning, "app", "{} at {} wants to join; if it shows the code {}, run: flotilla approve {}",
        printable(guest.peer.name), guest.host, found->second.code, found->second.code);
  context_.changed();
}

void AdmitDesk::on_guest_gone(std::uint64_t guest) { waiting_.erase(guest); }

void AdmitDesk::grant(std::uint64_t guest, const TrustAnswer& answer) {
  if (!answer.ok) return refuse(guest, error_of(answer));
  cluster_().send_to_guest(guest, make_frame(FrameKind::join_granted, encode(answer.granted)));
  waiting_.erase(guest);  // it hangs up once it has read that
}

void AdmitDesk::refuse(std::uint64_t guest, const Error& cause) {
  if (complaints_.may_speak_of("refused guests", now()))
    log(LogLevel::warning, "app", "a machine that wanted to join is refused: {}", without_room(cause.message));
  cluster_().send_to_guest(guest, make_refusal(cause));
  waiting_.erase(guest);
  cluster_().dismiss_guest(guest, cause);
}

// --- Decisions -----------------------------------------------------------------------------------

// The first that lets in another begins the cluster of the two.
Status AdmitDesk::begin_cluster() {
  const auto& standing = *context_.identity.standing;
  if (context_.identity.trust != TrustMode::none)
    return fail(
        Code::invalid_argument,
        "[app] expected a machine that goes by its cluster's certificate but this one was started with {}; start "
        "it without",
        context_.identity.trust == TrustMode::trust_lan ? "--trust-lan" : "--cluster-secret");
  if (standing.cluster()) return {};
  FLOTILLA_TRY_STATUS(context_.identity.standing->found_cluster(wall_time()));
  context_.changed();
  cluster_().retry();
  return {};
}

void AdmitDesk::decide(const NodeId& from, TrustOrder order, OnAnswer on_answer) {
  const bool is_ours = from == context_.identity.node;
  if (order.wish == TrustWish::approve) {
    const auto found = std::ranges::find_if(waiting_, [&](const auto& entry) {
      return !entry.second.code.empty() && equal_in_constant_time(bytes_of(entry.second.code), bytes_of(order.code));
    });
    if (found != waiting_.end()) return approve_here(found->first, std::move(on_answer));
    if (is_ours) return approve_everywhere(std::move(order), std::move(on_answer));
    return on_answer(failed({Code::not_found, "[app] no machine waits here with this code"}));
  }
  if (context_.identity.standing->may_sign()) return on_answer(sign(from, order));
  if (is_ours) return ask_signer(std::move(order), std::move(on_answer));
  on_answer(failed({Code::unavailable, "[app] this machine does not hold the cluster's key"}));
}

TrustAnswer AdmitDesk::sign(const NodeId& from, const TrustOrder& order) {
  Standing& standing = *context_.identity.standing;
  const PublicKey key{order.key};
  const auto admit = [&](bool anew) {
    auto admission = standing.admit(key, anew, wall_time());
    if (!admission) return failed(admission.error());
    if (anew) {
      standing.note_member(order.name, key.id());
      spread_revocations();  // it may have been put out before
    }
    return granted(*std::move(admission), order.name);
  };
  switch (order.wish) {
    case TrustWish::admit:
      return admit(true);
    case TrustWish::redeem:
      if (const auto redeemed = standing.redeem({order.token, order.proof}, order.exporter, key.id(), wall_time());
          !redeemed)
        return failed(redeemed.error());
      return admit(true);
    case TrustWish::renew:
      if (node_id_of(key.id()) != from)
        return failed({Code::unauthorized, "[app] expected a machine to renew its own certificate"});
      return admit(false);
    case TrustWish::revoke: {
      if (const auto revoked = standing.revoke({order.device}); !revoked) return failed(revoked.error());
      spread_revocations();
      put_out_revoked();
      return {.ok = true, .text = order.name, .granted = {}, .code = {}, .message = {}};
    }
    case TrustWish::create_token: {
      auto token = standing.create_token(std::chrono::seconds(order.seconds), order.uses, wall_time());
      if (!token) return failed(token.error());
      return {.ok = true, .text = *std::move(token), .granted = {}, .code = {}, .message = {}};
    }
    case TrustWish::approve:
      break;
  }
  return failed({Code::internal, "[app] an order without a decision"});
}

void AdmitDesk::ask_signer(TrustOrder order, OnAnswer on_answer) {
  const ClusterView view = context_.view();
  const auto signer = std::ranges::find_if(view.members, [](const Member& member) {
    return member.info.may_sign && (member.state == MemberState::joined || member.state == MemberState::suspect);
  });
  order.ticket = ++last_ticket_;
  if (signer == view.members.end() ||
      !context_.send(signer->info.id, make_frame(FrameKind::trust_order, encode(order))))
    return on_answer(failed({Code::unavailable,
                             "[app] the machine that holds the cluster's key is not here; start it and try again "
                             "(flotilla members shows which it is)"}));
  asked_[order.ticket] = {.on_answer = std::move(on_answer), .answers_missing = 1, .until = now() + answer_time_max};
}

void AdmitDesk::approve_everywhere(TrustOrder order, OnAnswer on_answer) {
  order.ticket = ++last_ticket_;
  std::size_t asked = 0;
  for (const Member& member : context_.view().members)
    if (member.state == MemberState::joined &&
        context_.send(member.info.id, make_frame(FrameKind::trust_order, encode(order))))
      ++asked;
  if (asked == 0)
    return on_answer(failed({Code::not_found,
                             "[app] expected a machine that waits with this code but there is none; on the new machine "
                             "run: flotilla join"}));
  asked_[order.ticket] = {
      .on_answer = std::move(on_answer), .answers_missing = asked, .until = now() + answer_time_max};
}

void AdmitDesk::approve_here(std::uint64_t guest, OnAnswer on_answer) {
  if (const auto begun = begin_cluster(); !begun) return on_answer(failed(begun.error()));
  const Guest& who = waiting_.at(guest).guest;
  decide(context_.identity.node, {.wish = TrustWish::admit, .name = who.peer.name, .key = who.key.bytes, .code = {}},
         [this, guest, on_answer](const TrustAnswer& answer) {
           grant(guest, answer);
           auto told = answer;
           told.granted = {};  // that is the newcomer's
           on_answer(told);
         });
}

// --- Members -------------------------------------------------------------------------------------

void AdmitDesk::on_order(const NodeId& from, TrustOrder order) {
  if (!context_.identity.standing->cluster() || context_.identity.trust != TrustMode::none) return;
  const auto ticket = order.ticket;
  decide(from, std::move(order), [this, from, ticket](TrustAnswer answer) {
    answer.ticket = ticket;
    context_.send(from, make_frame(FrameKind::trust_answer, encode(answer)));
  });
}

// Of several that were asked, the first that could counts; else the last failure.
void AdmitDesk::on_answer(const NodeId&, const TrustAnswer& answer) {
  const auto found = asked_.find(answer.ticket);
  if (found == asked_.end()) return;
  if (!answer.ok && --found->second.answers_missing > 0) return;
  const auto on_answer = std::move(found->second.on_answer);
  asked_.erase(found);
  on_answer(answer);
}

void AdmitDesk::on_joined(const NodeId& node) {
  const auto device = cluster_().device_of(node);
  const ClusterView view = context_.view();
  const Member* member = view.find(node);
  if (context_.identity.trust != TrustMode::none || !device || !member) return;
  context_.identity.standing->note_member(member->info.name, *device);
  if (auto list = context_.identity.standing->revocations(); !list.empty())
    context_.send(node, make_frame(FrameKind::revocations, encode(Revocations{std::move(list)})));
}

void AdmitDesk::on_revocations(const NodeId& from, const Revocations& revocations) {
  const auto is_news = context_.identity.standing->adopt_revocations(revocations.list);
  if (!is_news)
    log(LogLevel::warning, "app", "a list of revoked machines is ignored: {}", without_room(is_news.error().message));
  if (!is_news || !*is_news) return;
  (void)from;
  spread_revocations();
  put_out_revoked();
}

void AdmitDesk::spread_revocations() {
  const auto list = context_.identity.standing->revocations();
  if (list.empty()) return;
  for (const Member& member : context_.view().members)
    if (member.state == MemberState::joined)
      context_.send(member.info.id, make_frame(FrameKind::revocations, encode(Revocations{list})));
}

void AdmitDesk::put_out_revoked() {
  for (const Member& member : context_.view().members) {
    if (member.state == MemberState::self) continue;
    if (const auto device = cluster_().device_of(member.info.id);
        device && context_.identity.standing->is_revoked(*device))
      cluster_().put_out(member.info.id, std::format("{} was put out of this cluster", member.info.name));
  }
}

void AdmitDesk::renew() {
  renewal_due_ = now() + renewal_interval;
  const auto standing = context_.identity.standing;
  if (!standing->wants_renewal(wall_time()) || context_.identity.trust != TrustMode::none) return;
  decide(context_.identity.node,
         {.wish = TrustWish::renew, .name = context_.identity.name, .key = standing->public_key().bytes, .code = {}},
         [this, standing](const TrustAnswer& answer) {
           const auto accepted =
               answer.ok ? standing->accept({answer.granted.member, answer.granted.cluster, answer.granted.revocations},
                                            wall_time())
                         : Status(fail(error_of(answer)));
           if (accepted) return;
           renewal_due_ = now() + renewal_retry;
           log(LogLevel::warning, "app", "this machine's membership ends at {:%F %R} UTC and could not be renewed: {}",
               standing->membership_ends().value_or(WallTime{}), without_room(accepted.error().message));
         });
}

// --- The owner -----------------------------------------------------------------------------------

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
  decide(
      context_.identity.node,
      {.wish = TrustWish::create_token, .name = context_.identity.name, .code = {}, .seconds = seconds, .uses = uses},
      telling(std::move(on_token)));
}

void AdmitDesk::approve(const std::string& code, OnText on_name) {
  decide(context_.identity.node, {.wish = TrustWish::approve, .name = context_.identity.name, .code = code},
         telling(std::move(on_name)));
}

void AdmitDesk::revoke(const std::string& name, OnText on_name) {
  if (!context_.identity.standing->cluster())
    return on_name(fail(Code::unavailable, "[app] this machine belongs to no cluster"));
  const auto met = context_.identity.standing->members_met();
  const auto found = met.find(name);
  const auto by_id = device_id_from_string(name);
  if (found == met.end() && !by_id)
    return on_name(fail(Code::not_found,
                        "[app] expected the name or the id of a machine of this cluster but got '{}'; flotilla members "
                        "lists them",
                        name));
  decide(context_.identity.node,
         {.wish = TrustWish::revoke,
          .name = name,
          .device = found == met.end() ? by_id->bytes : found->second.bytes,
          .code = {}},
         telling(std::move(on_name)));
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
  for (const auto& [name, device] : standing.members_met())
    if (device != standing.device()) add(name, device);
  json waiting = json::array();
  for (const auto& [id, each] : waiting_)
    if (!each.code.empty())
      waiting.push_back({{"name", each.guest.peer.name}, {"host", each.guest.host}, {"code", each.code}});
  const auto cluster = standing.cluster();
  const auto ends = standing.membership_ends();
  return {{"cluster", cluster ? json(to_string(*cluster)) : json()},
          {"trust", context_.identity.trust == TrustMode::trust_lan ? "--trust-lan"
                    : context_.identity.trust == TrustMode::secret  ? "--cluster-secret"
                                                                    : "certificate"},
          {"membership_ends", ends ? json(std::format("{:%FT%TZ}", *ends)) : json()},
          {"members", list},
          {"waiting", waiting}};
}

}  // namespace flotilla
