#include "app/guest_desk.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "base/words.h"
#include "cluster/printable.h"
#include "wire/handshake.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto token_time_max = 10s;  // for the one that holds the cluster's key to be asked

std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }

}  // namespace

Error error_of(const TrustAnswer& answer) { return {code_from_string(answer.code), answer.message}; }

GuestDesk::GuestDesk(NodeContext& context, std::function<Cluster&()> cluster, Redeem redeem)
    : context_(context), cluster_(std::move(cluster)), redeem_(std::move(redeem)) {}

void GuestDesk::on_frame(const Guest& guest, const Frame& frame) {
  const auto found = guests_.find(guest.id);
  if (frame.header.kind == FrameKind::join_request && found == guests_.end()) {
    const auto request = decode_join_request(frame.body);
    if (!request) return refuse(guest, request.error());
    return request->by_code ? on_code_wanted(guest, *request) : on_token(guest, *request);
  }
  if (frame.header.kind == FrameKind::join_reveal && found != guests_.end() && found->second.step == Step::owes_nonce)
    return on_reveal(found->second, frame.body);
  refuse(guest, {Code::corrupt, "[app] expected a newcomer that follows the protocol; it is broken"});
}

void GuestDesk::on_token(const Guest& guest, const JoinRequest& request) {
  guests_[guest.id] = {.guest = guest, .step = Step::shows_token, .code = {}};
  cluster_().let_guest_wait(guest.id, token_time_max);
  redeem_({.wish = TrustWish::redeem,
           .name = guest.peer.name,
           .key = guest.key.bytes,
           .token = request.token,
           .proof = request.proof,
           .exporter = guest.exporter,
           .code = {}},
          [this, id = guest.id](const TrustAnswer& answer) { this->answer(id, answer); });
}

void GuestDesk::on_code_wanted(const Guest& guest, const JoinRequest& request) {
  const auto waiting =
      std::ranges::count_if(guests_, [](const auto& entry) { return entry.second.step != Step::shows_token; });
  if (static_cast<std::size_t>(waiting) >= PairingBudget::waiting_max || !budget_.take(now()))
    return refuse(guest,
                  {Code::busy,
                   std::format("[app] expected at most {} machines at once to ask {} for a code, then one "
                               "every {} s; try again in a minute, or by a token (flotilla token create)",
                               PairingBudget::at_once, context_.identity.name, PairingBudget::one_more_every.count())});
  auto& entry =
      guests_[guest.id] = {.guest = guest, .step = Step::owes_nonce, .commitment = request.commitment, .code = {}};
  entry.nonce = random_pairing_nonce();
  cluster_().send_to_guest(guest.id, make_frame(FrameKind::join_nonce, encode(JoinNonce{entry.nonce})));
}

void GuestDesk::on_reveal(Waiting& waiting, std::span<const std::byte> body) {
  const Guest& guest = waiting.guest;
  const auto revealed = decode_join_nonce(body);
  if (!revealed || !equal_in_constant_time(commitment_to(revealed->nonce), waiting.commitment))
    return refuse(guest, {Code::corrupt, "[app] expected the number that this newcomer had committed itself to"});
  waiting.step = Step::shows_code;
  waiting.code = pairing_code({.exporter = guest.exporter,
                               .newcomer = guest.key.id(),
                               .member = context_.identity.standing->device(),
                               .newcomer_nonce = revealed->nonce,
                               .member_nonce = waiting.nonce});
  cluster_().let_guest_wait(guest.id, PairingBudget::code_time_max);
  // Each: PairingBudget has bounded them.
  log(LogLevel::warning, "app", "{} at {} wants to join; if it shows the code {}, run: flotilla approve {}",
      printable(guest.peer.name), guest.host, waiting.code, waiting.code);
  context_.changed();
}

// Who stands between two machines hangs up where the digits are not those it needs.
void GuestDesk::on_gone(std::uint64_t guest) {
  const auto found = guests_.find(guest);
  if (found == guests_.end()) return;
  // Each: PairingBudget has bounded them.
  if (found->second.step == Step::owes_nonce)
    log(LogLevel::warning, "app",
        "{} at {} asked for a code and hung up before it had one; where that goes on, somebody may stand between: let "
        "machines in by a token (flotilla token create)",
        printable(found->second.guest.peer.name), found->second.guest.host);
  guests_.erase(found);
}

const Guest* GuestDesk::with_code(std::string_view code) const {
  const auto found = std::ranges::find_if(guests_, [&](const auto& entry) {
    const Waiting& waiting = entry.second;
    return waiting.step == Step::shows_code && equal_in_constant_time(bytes_of(waiting.code), bytes_of(code));
  });
  return found == guests_.end() ? nullptr : &found->second.guest;
}

bool GuestDesk::answer(std::uint64_t guest, const TrustAnswer& answer) {
  const auto found = guests_.find(guest);
  if (found == guests_.end()) return false;
  if (!answer.ok) {
    refuse(found->second.guest, error_of(answer));
    return true;
  }
  guests_.erase(guest);
  cluster_().let_guest_wait(guest, limits::handshake_time_max);  // it hangs up once it has read this
  return cluster_().send_to_guest(guest, make_frame(FrameKind::join_granted, encode(answer.granted)));
}

void GuestDesk::refuse(Guest guest, const Error& cause) {
  const auto found = guests_.find(guest.id);
  // Who is refused in the midst of a code may have looked for other digits, as who hangs up there.
  const bool gives_up_code = found != guests_.end() && found->second.step != Step::shows_token;
  if (gives_up_code || complaints_.may_speak_of("refused " + guest.host, now()))
    log(LogLevel::warning, "app", "{} at {} wanted to join and is refused: {}", printable(guest.peer.name), guest.host,
        without_room(cause.message));
  cluster_().send_to_guest(guest.id, make_refusal(cause));
  guests_.erase(guest.id);
  cluster_().dismiss_guest(guest.id, cause);
}

json GuestDesk::waiting() const {
  json list = json::array();
  for (const auto& [id, each] : guests_)
    if (each.step == Step::shows_code)
      list.push_back({{"name", each.guest.peer.name}, {"host", each.guest.host}, {"code", each.code}});
  return list;
}

}  // namespace flotilla
