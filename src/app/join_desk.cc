#include "app/join_desk.h"

#include <utility>

#include "base/log.h"
#include "base/words.h"

namespace flotilla {
namespace {

constexpr auto asked_again_after = std::chrono::seconds(2);

// Blocking. An address where nobody can let us in is no answer; any other outcome is.
Result<JoinOutcome> ask_all(const NodeIdentity& self, const std::vector<PeerAddress>& doors, const JoinWish& wish) {
  std::string last;
  for (const PeerAddress& door : doors) {
    auto outcome = ask_to_join(self, door, wish);
    if (outcome || outcome.error().code != Code::not_found) return outcome;
    if (*wish.stop) break;
    last = std::format("; at {}: {}", to_string(door), without_room(outcome.error().message));
  }
  return fail(Code::not_found,
              "[app] no machine that can let this one in answers ({} asked{}); name one with --peer HOST:PORT",
              doors.size(), last);
}

}  // namespace

struct JoinDesk::Asking {
  Wish wish;
  OnShown on_shown;
  OnDone on_done;
  Shown shown;
  std::optional<JoinOutcome> outcome;
  std::atomic<bool> stop{false};
};

JoinDesk::JoinDesk(NodeContext& context, std::function<Cluster&()> cluster)
    : context_(context), cluster_(std::move(cluster)), again_(context.loop) {}

JoinDesk::~JoinDesk() {
  stop();
  helper_.join();
}

void JoinDesk::stop() {
  *stopping_ = true;
  again_.cancel();
  cancel();
}

void JoinDesk::cancel() {
  if (asking_) asking_->stop = true;
}

void JoinDesk::join(Wish wish, OnShown on_shown, OnDone on_done) {
  if (asking_) return on_done(fail(Code::busy, "[app] this machine is joining already"));
  if (context_.identity.trust != TrustMode::none)
    return on_done(
        fail(Code::invalid_argument,
             "[app] expected a machine without --trust-lan and --cluster-secret; start it without to join by "
             "a token or a code"));
  if (context_.identity.hello().trust == TrustMode::member)
    return on_done(fail(Code::busy, "[app] this machine is in a cluster already; flotilla leave comes first"));
  auto doors = wish.peer ? std::vector{*wish.peer} : cluster_().doors();
  asking_ = std::make_shared<Asking>();
  asking_->wish = std::move(wish);
  asking_->on_shown = std::move(on_shown);
  asking_->on_done = std::move(on_done);
  boost::asio::post(helper_, [this, stopping = stopping_, asking = asking_, loop = &context_.loop,
                              self = context_.identity, doors = std::move(doors)] {
    const JoinWish asked{.token = asking->wish.token,
                         .on_code =
                             [&](const std::string& code, const std::string& machine) {
                               boost::asio::post(*loop, [stopping, asking, shown = Shown{code, machine}] {
                                 asking->shown = shown;
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
  if (!outcome) return finish(fail(outcome.error()));
  asking_->outcome = *std::move(outcome);
  if (asking_->wish.token || asking_->wish.confirmed) accept();
}

Status JoinDesk::confirm(const std::string& code) {
  if (!asking_ || asking_->shown.code.empty() || asking_->shown.code != code)
    return fail(Code::not_found, "[app] expected the code that this machine shows; flotilla join shows a new one");
  asking_->wish.confirmed = true;
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
  join(
      {.token = token, .peer = {}}, [](const Shown&) {},
      [this, token](const Result<std::string>& machine) {
        trouble_ = machine ? "" : without_room(machine.error().message);
        if (machine) return;
        if (machine.error().code != Code::not_found)
          return log(LogLevel::error, "app", "this machine was not let in: {}", without_room(machine.error().message));
        again_.expires_after(asked_again_after);
        again_.async_wait([this, token](const boost::system::error_code& error) {
          if (!error) keep_asking(token);
        });
      });
}

}  // namespace flotilla
