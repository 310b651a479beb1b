#include "app/admit_desk.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/log.h"
#include "base/words.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto tick_interval = 1s, judging_interval = 10s;
// The first of two waits for the second: a member that approves may have to ask the one that holds the key.
constexpr auto signer_time_max = 5s, approval_time_max = signer_time_max + 7s;
constexpr auto renewal_interval = 60min, renewal_retry = 5min;

std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }

TrustAnswer done(std::string text) {
  return {.ok = true, .text = std::move(text), .granted = {}, .code = {}, .message = {}, .tokens = {}};
}

TrustAnswer failed(const Error& cause) {
  return {.ok = false,
          .text = {},
          .granted = {},
          .code = std::string(to_string(cause.code)),
          .message = cause.message,
          .tokens = {}};
}

TrustAnswer listed(const std::vector<TokenFacts>& tokens) {
  TrustAnswer answer = done("");
  for (const TokenFacts& each : tokens)
    answer.tokens.push_back({.token = each.token,
                             .ends = each.ends.time_since_epoch().count(),
                             .uses = each.uses,
                             .used = each.used,
                             .maker = each.maker});
  return answer;
}

bool is_here(const Member& member) {
  return member.state == MemberState::joined || member.state == MemberState::suspect;
}

}  // namespace

AdmitDesk::AdmitDesk(NodeContext& context, std::function<Cluster&()> cluster)
    : context_(context),
      cluster_(std::move(cluster)),
      guests_(context, cluster_,
              [this](TrustOrder order, OnAnswer on_answer) {
                decide(context_.identity.node, std::move(order), std::move(on_answer));
              }),
      ticker_(context.alarm, tick_interval, [this] { tick(); }) {}

void AdmitDesk::begin() {
  renewal_due_ = now();
  judging_due_ = now() + judging_interval;
  ticker_.begin();
}

void AdmitDesk::tick() {
  if (now() >= renewal_due_) renew();
  if (now() >= judging_due_) judge_members();
  std::vector<OnAnswer> late;
  std::erase_if(asked_, [&](auto& entry) {
    if (now() < entry.second.until) return false;
    late.push_back(std::move(entry.second.on_answer));
    return true;
  });
  for (const auto& on_answer : late)
    on_answer(
        failed({Code::timeout, "[app] expected an answer from another machine of the cluster but none came in time"}));
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
    if (const Guest* guest = guests_.with_code(order.code)) return approve_here(*guest, std::move(on_answer));
    if (is_ours) return approve_everywhere(std::move(order), std::move(on_answer));
    return on_answer(failed({Code::not_found, "[app] no machine waits here with this code"}));
  }
  if (context_.identity.standing->may_sign()) return on_answer(sign(from, order));
  if (is_ours) return ask_signer(std::move(order), std::move(on_answer));
  on_answer(failed({Code::unavailable, "[app] this machine does not hold the cluster's key"}));
}

TrustAnswer AdmitDesk::admit(const TrustOrder& order, bool anew) {
  Standing& standing = *context_.identity.standing;
  const PublicKey key{order.key};
  auto admission = standing.admit(key, anew, wall_time());
  if (!admission) return failed(admission.error());
  if (anew) {
    standing.note_member(order.name, key.id());
    tell_all();  // it may have been put out before
  }
  TrustAnswer answer = done(order.name);
  answer.granted = {.member = std::move(admission->member),
                    .cluster = std::move(admission->cluster),
                    .revocations = std::move(admission->revocations)};
  return answer;
}

TrustAnswer AdmitDesk::sign(const NodeId& from, const TrustOrder& order) {
  Standing& standing = *context_.identity.standing;
  const DeviceId device = PublicKey{order.key}.id();
  switch (order.wish) {
    case TrustWish::admit:
      return admit(order, true);
    case TrustWish::redeem: {
      const TokenProof proof{order.token, order.proof};
      const auto redeemed = standing.redeem(proof, order.exporter, device, wall_time());
      return redeemed ? admit(order, true) : failed(redeemed.error());
    }
    case TrustWish::renew:
      if (node_id_of(device) == from) return admit(order, false);
      return failed({Code::unauthorized, "[app] expected a machine to renew its own certificate"});
    case TrustWish::revoke: {
      const auto revoked = standing.revoke({order.device}, wall_time());
      if (!revoked) return failed(revoked.error());
      tell_all();
      judge_members();
      return done(order.name);
    }
    case TrustWish::create_token: {
      auto token = standing.create_token(std::chrono::seconds(order.seconds), order.uses, wall_time(), from);
      return token ? done(*std::move(token)) : failed(token.error());
    }
    case TrustWish::list_tokens: {
      const auto tokens = standing.tokens(wall_time());
      return tokens ? listed(*tokens) : failed(tokens.error());
    }
    case TrustWish::end_token: {
      const auto ended = standing.end_token(order.token, wall_time());
      return ended ? done(to_hex(order.token)) : failed(ended.error());
    }
    case TrustWish::approve:
      break;
  }
  return failed({Code::internal, "[app] an order without a decision"});
}

// Tickets cannot be guessed, and only who was asked is heard: a member could answer another's question else.
void AdmitDesk::ask_signer(TrustOrder order, OnAnswer on_answer) {
  const ClusterView view = context_.view();
  const auto signer = std::ranges::find_if(view.members, [&](const Member& member) {
    return member.info.may_sign && is_here(member) &&
           (order.wish != TrustWish::revoke || member.info.id != node_id_of(DeviceId{order.device}));
  });
  order.ticket = random_u64();
  if (signer == view.members.end() ||
      !context_.send(signer->info.id, make_frame(FrameKind::trust_order, encode(order))))
    return on_answer(failed({Code::unavailable,
                             "[app] the machine that holds the cluster's key is not here; start it and try again "
                             "(flotilla members shows which it is)"}));
  asked_[order.ticket] = {
      .on_answer = std::move(on_answer), .missing = {signer->info.id}, .until = now() + signer_time_max};
}

void AdmitDesk::approve_everywhere(TrustOrder order, OnAnswer on_answer) {
  order.ticket = random_u64();
  std::set<NodeId> asked;
  for (const Member& member : context_.view().members)
    if (member.state == MemberState::joined &&
        context_.send(member.info.id, make_frame(FrameKind::trust_order, encode(order))))
      asked.insert(member.info.id);
  if (asked.empty())
    return on_answer(failed({Code::not_found,
                             "[app] expected a machine that waits with this code but there is none; on the new machine "
                             "run: flotilla join"}));
  asked_[order.ticket] = {
      .on_answer = std::move(on_answer), .missing = std::move(asked), .until = now() + approval_time_max};
}

void AdmitDesk::approve_here(const Guest& guest, OnAnswer on_answer) {
  if (const auto begun = begin_cluster(); !begun) return on_answer(failed(begun.error()));
  decide(context_.identity.node,
         {.wish = TrustWish::admit, .name = guest.peer.name, .key = guest.key.bytes, .code = {}},
         [this, id = guest.id, name = guest.peer.name, on_answer](const TrustAnswer& answer) {
           const bool was_there = guests_.answer(id, answer);
           if (!answer.ok) return on_answer(answer);
           if (was_there) return on_answer(done(name));
           on_answer(failed({Code::unavailable, std::format("[app] {} hung up before it could be let in; run flotilla "
                                                            "join there once more",
                                                            name)}));
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
void AdmitDesk::on_answer(const NodeId& from, const TrustAnswer& answer) {
  const auto found = asked_.find(answer.ticket);
  if (found == asked_.end() || found->second.missing.erase(from) == 0) return;
  if (!answer.ok && !found->second.missing.empty()) return;
  const auto on_answer = std::move(found->second.on_answer);
  asked_.erase(found);
  on_answer(answer);
}

// Up to ten seconds lie between the handshake and this, in which it may have been put out, or we may have left.
void AdmitDesk::on_joined(const NodeId& node) {
  renewed_.erase(node);
  const auto shown = cluster_().shown_by(node);
  const ClusterView view = context_.view();
  const Member* member = view.find(node);
  if (context_.identity.trust != TrustMode::none || !shown || !member) return;
  Standing& standing = *context_.identity.standing;
  standing.note_member(member->info.name, shown->id());
  context_.send(node, make_frame(FrameKind::revocations, encode(what_to_tell())));
  judge(*member);
}

void AdmitDesk::on_revocations(const NodeId& from, const Revocations& told) {
  const auto is_news = context_.identity.standing->adopt_revocations(told.list);
  if (!is_news)
    log(LogLevel::warning, "app", "a list of revoked machines is ignored: {}", without_room(is_news.error().message));
  if (is_news && *is_news) {
    tell_all();
    judge_members();
  }
  if (!told.membership.empty()) note_renewal(from, told.membership);
}

void AdmitDesk::note_renewal(const NodeId& from, std::span<const std::byte> membership) {
  const auto shown = cluster_().shown_by(from);
  const auto certificate = Certificate::from_der(membership);
  if (!shown || !certificate || certificate->id() != shown->id() || certificate->ends() <= shown->ends()) return;
  if (context_.identity.standing->judge(*certificate, "a member", wall_time()))
    renewed_.insert_or_assign(from, *certificate);
}

Revocations AdmitDesk::what_to_tell() const {
  const Standing& standing = *context_.identity.standing;
  return {.list = standing.revocations(), .membership = standing.membership()};
}

void AdmitDesk::tell_all() {
  const Bytes body = encode(what_to_tell());
  for (const Member& member : context_.view().members)
    if (is_here(member)) context_.send(member.info.id, make_frame(FrameKind::revocations, body));
}

void AdmitDesk::write_revocations() {
  const auto written = context_.identity.standing->write_revocations();
  if (!written)
    log(LogLevel::warning, "app",
        "who was put out of the cluster is not on this machine's disk yet: {}; tried again in {}",
        without_room(written.error().message), judging_interval);
}

void AdmitDesk::judge_members() {
  judging_due_ = now() + judging_interval;
  write_revocations();
  if (context_.identity.trust != TrustMode::none) return;
  for (const Member& member : context_.view().members)
    if (is_here(member)) judge(member);
  when_judged();
}

// By the newest certificate that it has shown.
void AdmitDesk::judge(const Member& member) {
  const auto shown = cluster_().shown_by(member.info.id);
  if (!shown) return;
  const auto renewed = renewed_.find(member.info.id);
  const Certificate& certificate = renewed == renewed_.end() ? *shown : renewed->second;
  if (const auto judged = context_.identity.standing->judge_again(certificate, member.info.name, wall_time()); !judged)
    cluster_().put_out(member.info.id, std::string(without_room(judged.error().message)));
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
           if (accepted) return tell_all();
           renewal_due_ = now() + renewal_retry;
           log(LogLevel::warning, "app", "this machine's membership ends at {:%F %R} UTC and could not be renewed: {}",
               standing->membership_ends().value_or(WallTime{}), without_room(accepted.error().message));
         });
}

}  // namespace flotilla
