#include "app/join_desk.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "base/words.h"

namespace flotilla {
namespace {

constexpr auto asked_again_after = std::chrono::seconds(2);
constexpr auto refused_again_after = std::chrono::minutes(1);  // others may be seen by then
// Who has just been started sees nobody yet, or not yet who can let it in: beacons come a second apart then.
constexpr auto looked_for = std::chrono::seconds(5);
constexpr auto looked_again_after = std::chrono::milliseconds(250);

// Nobody there can let us in, or not now: another machine may, and the same one later.
bool may_pass(const Error& error) { return error.code == Code::not_found || retry_can_help(error.code); }

// Blocking. The first that lets us in counts. A refusal says little: it may be of a machine that was put out itself, or
// of a stranger. Where nobody lets us in, what a machine said that might do so later is told first, then a refusal.
// Once a code was shown, whatever comes is an answer: what a person confirmed of one machine says nothing of the next.
Result<JoinOutcome> ask_all(const NodeIdentity& self, const std::vector<PeerAddress>& doors, const JoinWish& wish) {
  bool has_shown = false;
  JoinWish asked = wish;
  asked.on_code = [&](const std::string& code, const std::string& machine) {
    has_shown = true;
    wish.on_code(code, machine);
  };
  std::string last;
  std::optional<Error> later, refused;
  for (const PeerAddress& door : doors) {
    auto outcome = ask_to_join(self, door, asked);
    if (outcome || has_shown || *wish.stop) return outcome;
    const Error& cause = outcome.error();
    if (cause.code != Code::not_found) (may_pass(cause) ? later : refused) = cause;
    last = std::format("; at {}: {}", to_string(door), without_room(cause.message));
  }
  if (later) return fail(*later);
  if (refused) return fail(*refused);
  return fail(Code::not_found,
              "[app] no machine that can let this one in answers ({} asked{}); name one with --peer HOST:PORT",
              doors.size(), last);
}

}  // namespace

struct JoinDesk::Asking {
  Wish wish;
  OnShown on_shown;
  OnDone on_done;
  std::chrono::steady_clock::time_point looks_until;
  Shown shown;
  bool is_confirmed = false;  // a person has compared what is shown
  std::optional<JoinOutcome> outcome;
  std::atomic<bool> stop{false};
};

JoinDesk::JoinDesk(NodeContext& context, std::function<Cluster&()> cluster)
    : context_(context), cluster_(std::move(cluster)), look_(context.loop), again_(context.loop) {}

JoinDesk::~JoinDesk() {
  stop();
  helper_.join();
}

void JoinDesk::stop() {
  *stopping_ = true;
  look_.cancel();
  again_.cancel();
  if (asking_) asking_->stop = true;
}

// The helper looks at `stop` only until it has an outcome; what waits for its owner then ends here.
void JoinDesk::cancel() {
  if (!asking_) return;
  asking_->stop = true;
  if (asking_->outcome) give_up();
}

void JoinDesk::give_up() { finish(fail(Code::cancelled, "[app] joining was given up")); }

void JoinDesk::join(Wish wish, OnShown on_shown, OnDone on_done) {
  if (asking_)
    return on_done(fail(Code::busy,
                        "[app] this machine asks to be let in already; wait for the answer, or stop what asks "
                        "(flotilla join, serve --join)"));
  if (context_.identity.trust != TrustMode::none)
    return on_done(
        fail(Code::invalid_argument,
             "[app] expected a machine without --trust-lan and --cluster-secret; start it without to join by "
             "a token or a code"));
  if (context_.identity.hello().trust == TrustMode::member)
    return on_done(fail(Code::busy, "[app] this machine is in a cluster already; flotilla leave comes first"));
  asking_ = std::make_shared<Asking>();
  asking_->wish = std::move(wish);
  asking_->on_shown = std::move(on_shown);
  asking_->on_done = std::move(on_done);
  asking_->looks_until = std::chrono::steady_clock::now() + looked_for;
  look_for_doors();
}

void JoinDesk::look_for_doors() {
  if (asking_->stop) return give_up();
  auto doors = asking_->wish.peer ? std::vector{*asking_->wish.peer} : cluster_().doors();
  if (!doors.empty() || !asking_->wish.is_patient) return ask(std::move(doors));
  if (std::chrono::steady_clock::now() < asking_->looks_until) return look_again();
  finish(fail(Code::not_found,
              "[app] expected a machine that can let this one in but none was seen in {} s; name one with --peer "
              "HOST:PORT, or run flotilla doctor here and there, which says why they do not find each other",
              looked_for.count()));
}

void JoinDesk::look_again() {
  look_.expires_after(looked_again_after);
  look_.async_wait([this, stopping = stopping_](const boost::system::error_code& error) {
    if (!error && !*stopping) look_for_doors();
  });
}

// Those seen so far cannot let us in, and nobody has compared a code with one of them: who can may be seen yet.
bool JoinDesk::may_look_again(const Error& error) const {
  const Asking& asking = *asking_;
  return error.code == Code::not_found && asking.wish.is_patient && !asking.wish.peer && asking.shown.code.empty() &&
         !asking.stop && std::chrono::steady_clock::now() < asking.looks_until;
}

void JoinDesk::ask(std::vector<PeerAddress> doors) {
  boost::asio::post(helper_, [this, stopping = stopping_, asking = asking_, loop = &context_.loop,
                              self = context_.identity, doors = std::move(doors)] {
    const JoinWish asked{.token = asking->wish.token,
                         .on_code =
                             [&](const std::string& code, const std::string& machine) {
                               boost::asio::post(*loop, [stopping, asking, shown = Shown{code, machine}] {
                                 asking->shown = shown;
                                 asking->is_confirmed = false;
                                 if (!*stopping) asking->on_shown(shown);
                               });
                             },
                         .stop = &asking->stop};
    auto outcome = ask_all(self, doors, asked);
    boost::asio::post(*loop, [this, stopping, outcome = std::move(outcome)]() mutable {
      if (!*stopping) on_asked(std::move(outcome));
    });
  });
}

void JoinDesk::on_asked(Result<JoinOutcome> outcome) {
  if (!asking_) return;
  if (!outcome && may_look_again(outcome.error())) return look_again();
  if (!outcome) return finish(fail(outcome.error()));
  asking_->outcome = *std::move(outcome);
  if (asking_->stop) return cancel();
  if (asking_->wish.token || asking_->wish.confirmed || asking_->is_confirmed) accept();
}

Status JoinDesk::confirm(const std::string& code) {
  if (!asking_ || asking_->shown.code.empty() || asking_->shown.code != code)
    return fail(Code::not_found, "[app] expected the code that this machine shows; flotilla join shows a new one");
  asking_->is_confirmed = true;
  if (asking_->outcome) accept();
  return {};
}

void JoinDesk::accept() {
  const auto& outcome = *asking_->outcome;
  if (const auto accepted = context_.identity.standing->accept(outcome.admission, wall_time()); !accepted)
    return finish(fail(accepted.error()));
  log(LogLevel::warning, "app", "this machine was let into a cluster by {}", outcome.machine);
  cluster_().retry();
  context_.changed();
  finish(outcome.machine);
}

void JoinDesk::finish(Result<std::string> machine) {
  const auto asking = std::exchange(asking_, nullptr);
  asking->on_done(std::move(machine));
}

void JoinDesk::keep_asking(JoinToken token) {
  const auto& identity = context_.identity;
  if (const auto cluster = identity.standing->cluster(); cluster && !token.names(*cluster))
    return log(LogLevel::error, "app",
               "this machine was not let in: it is in another cluster already; flotilla leave comes first");
  if (identity.hello().trust == TrustMode::member) return;  // let in by it before, or meanwhile by its owner
  join(
      {.token = token, .peer = {}, .is_patient = false}, [](const Shown&) {},
      [this, token](const Result<std::string>& machine) {
        const std::string before = std::exchange(trouble_, machine ? "" : without_room(machine.error().message));
        if (machine) return;
        const bool is_refused = !may_pass(machine.error());
        if (machine.error().code != Code::not_found && trouble_ != before)  // told once while it stays the same
          log(is_refused ? LogLevel::error : LogLevel::warning, "app", "this machine {}: {}",
              is_refused ? "was not let in" : "is not in yet and goes on asking", trouble_);
        const bool sees_nobody = cluster_().doors().empty();
        again_.expires_after(is_refused ? refused_again_after : sees_nobody ? looked_again_after : asked_again_after);
        again_.async_wait([this, token, stopping = stopping_](const boost::system::error_code& error) {
          if (!error && !*stopping) keep_asking(token);
        });
      });
}

}  // namespace flotilla
