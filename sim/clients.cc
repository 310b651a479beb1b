#include "sim/clients.h"

#include <algorithm>

namespace flotilla::sim {
namespace {

constexpr double leaving_early = 0.1;
constexpr Duration text_time_max = 30ms;  // between the model's name and its tokens
constexpr std::uint32_t answer_min = 3, answer_max = 60;
constexpr std::uint32_t patient_answer_max = 10;  // so that what it may take does not hang on its length

}  // namespace

Clients::Clients(Fleet& fleet) : fleet_(fleet), world_(fleet.world), referee_(fleet.referee) {
  fleet.on_sent = [this](const GenerateRequest& sent, const NodeId& head) {
    Client& client = clients_[sent.sampling.seed];
    client.sent_as.push_back(sent.id);
    client.placement = sent.placement;
    client.head = head;
    if (client.sent_as.size() > 1)
      world_.note("request {} goes on at m{} after {} tokens", sent.sampling.seed, fleet_.machine_of(head).value_or(99),
                  sent.resumed.size());
  };
  fleet.renew = [this](const TokenEvent& stale, Epoch epoch) { return renew(stale, epoch); };
}

void Clients::enter(std::size_t machine, bool may_leave) {
  if (!fleet_.machines[machine]) return;
  const std::size_t number = clients_.size();
  Client& client = clients_.emplace_back();
  client.entry = fleet_.machines[machine]->life();
  client.leaves_early = may_leave && world_.chance(leaving_early);
  GenerateRequest& request = client.request;
  request.id = {world_.random()};
  for (std::uint64_t length = 1 + world_.below(8); length > 0; --length)
    request.prompt.push_back(static_cast<TokenId>(world_.below(100)));
  request.tokens_max = static_cast<std::uint32_t>(answer_min + world_.below(answer_max - answer_min));
  if (!may_leave) request.tokens_max = std::min(request.tokens_max, patient_answer_max);
  request.sampling.seed = number;
  world_.note("request {} enters at m{}", number, machine);
  world_.after(0s, client.entry, [this, number, machine] {
    fleet_.machines[machine]->desks().reloads.open(
        model_name, [this, number](const Result<Placement>& placement) { on_opened(number, placement); });
  });
}

void Clients::on_opened(std::size_t number, const Result<Placement>& placement) {
  Client& client = clients_[number];
  if (!placement) return fail(number, placement.error().message);
  fleet_.machines[client.entry.machine]->desks().requests.on_opened(*placement);
  client.request.placement = placement->id;
  world_.after(world_.between(0s, text_time_max), client.entry, [this, number] {
    Client& ready = clients_[number];
    ready.state = State::asked;
    fleet_.machines[ready.entry.machine]->desks().requests.generate(
        ready.request, [this, number](const TokenEvent& event) { on_event(number, event); });
  });
}

void Clients::on_event(std::size_t number, const TokenEvent& event) {
  Client& client = clients_[number];
  if (client.state != State::asked)
    return referee_.blame(tokens_once, "request {} was told something after its end", number);
  if (event.has_token) on_token(number, event);
  if (event.finish == FinishReason::failed) {
    if (!event.error || !event.error->message.starts_with('['))
      referee_.blame(requests_end, "request {} ended with an error that says nothing", number);
    if (event.error && event.error->code == Code::corrupt)
      referee_.blame(tokens_once, "request {} has a gap: {}", number, event.error->message);
    return fail(number, event.error ? event.error->message : "");
  }
  if (event.finish != FinishReason::none) {
    if (client.answer.size() != client.request.tokens_max)
      referee_.blame(tokens_once, "request {} ended after {} of {} tokens", number, client.answer.size(),
                     client.request.tokens_max);
    return end(number, State::answered);
  }
  if (!client.leaves_early || client.answer.size() * 2 < client.request.tokens_max) return;
  end(number, State::left);
  fleet_.machines[client.entry.machine]->desks().requests.cancel(client.request.id);
}

void Clients::on_token(std::size_t number, const TokenEvent& event) {
  Client& client = clients_[number];
  const Epoch epoch = fleet_.machines[client.entry.machine]->epoch_at_hand();
  if (const auto current = referee_.epoch_of(client.placement); current && *current != epoch)
    referee_.blame(one_writer, "request {} is asked of epoch {}.{} but took a token of epoch {}.{}", number,
                   current->incarnation, current->counter, epoch.incarnation, epoch.counter);
  const TokenId expected = next_token(client.request.prompt, client.answer, client.request.sampling.seed);
  const auto index = static_cast<std::int32_t>(client.answer.size());
  if (event.index != index || event.token != expected)
    referee_.blame(tokens_once, "request {} expected token {} to be {} but got {} as token {}", number, index, expected,
                   event.token, event.index);
  client.answer.push_back(event.token);
}

void Clients::fail(std::size_t number, const std::string& error) {
  if (world_.now() >= well_since_)
    referee_.blame(requests_end, "request {} fails though all has been well for long: {}", number, error);
  end(number, State::failed, error);
}

void Clients::end(std::size_t number, State state, const std::string& error) {
  clients_[number].state = state;
  clients_[number].error = error;
  world_.note("request {} {}{}{}", number,
              state == State::answered ? "is answered"
              : state == State::left   ? "hangs up"
                                       : "fails",
              error.empty() ? "" : ": ", error);
}

// Its entry node knows it; where that is gone, so is the connection to its client.
bool Clients::is_open(const Client& client) const {
  return (client.state == State::opening || client.state == State::asked) && world_.lives(client.entry);
}

bool Clients::all_ended() const {
  return std::ranges::none_of(clients_, [&](const Client& client) { return is_open(client); });
}

std::string Clients::story(std::size_t number) const {
  const Client& client = clients_[number];
  return std::format("request {}, entered at m{}, {} with {} of {} tokens, sent {} times{}{}", number,
                     client.entry.machine,
                     client.state == State::opening ? "waits for its model"
                     : client.state == State::asked ? "is asked"
                                                    : "has ended",
                     client.answer.size(), client.request.tokens_max, client.sent_as.size(),
                     client.error.empty() ? "" : ": ", client.error);
}

std::string Clients::describe_open() const {
  std::string list;
  for (std::size_t number = 0; number < clients_.size(); ++number)
    if (is_open(clients_[number])) list += (list.empty() ? "" : "; ") + story(number);
  return list;
}

Clients::Sums Clients::sums() const {
  Sums sums;
  for (const Client& client : clients_) {
    sums.answered += client.state == State::answered ? 1 : 0;
    sums.failed += client.state == State::failed ? 1 : 0;
    sums.resumed += client.sent_as.size() > 1 ? 1 : 0;
    sums.tokens += client.answer.size();
  }
  return sums;
}

std::optional<std::pair<TokenEvent, NodeId>> Clients::renew(const TokenEvent& stale, Epoch epoch) const {
  for (const Client& client : clients_) {
    if (client.state != State::asked || client.sent_as.size() < 2 || client.sent_as.back() == stale.id) continue;
    if (!std::ranges::contains(client.sent_as, stale.id) || referee_.epoch_of(client.placement) == epoch) continue;
    TokenEvent renewed = stale;
    renewed.id = client.sent_as.back();
    renewed.index = static_cast<std::int32_t>(client.answer.size());
    return std::pair(renewed, client.head);
  }
  return std::nullopt;
}

}  // namespace flotilla::sim
