// What a node does for who asks to let machines into its cluster, to put them out, or to come into another (the verbs
// join, approve, token, members, revoke and leave).
#include <nlohmann/json.hpp>

#include "app/join_file.h"
#include "app/node.h"
#include "base/log.h"
#include "base/words.h"

namespace flotilla {

using nlohmann::json;

namespace {

std::string text_in(const json& arguments, const char* field) {
  return arguments.is_object() && arguments.contains(field) && arguments[field].is_string()
             ? arguments[field].get<std::string>()
             : std::string();
}

std::uint32_t number_in(const json& arguments, const char* field, std::uint32_t otherwise) {
  if (!arguments.is_object() || !arguments.contains(field) || !arguments[field].is_number_unsigned()) return otherwise;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(arguments[field].get<std::uint64_t>(), UINT32_MAX));
}

bool is_set(const json& arguments, const char* field) {
  return arguments.is_object() && arguments.contains(field) && arguments[field] == true;
}

constexpr std::uint32_t token_seconds_default = 3600, token_uses_default = 20;

}  // namespace

// By the token that was given, else by an administrator's file. A file that was named must do; one that lies where all
// nodes look is another's care, and a node that cannot use it serves alone.
Status Node::begin_joining() {
  const TrustMode trust = context_.identity.hello().trust;
  if (!options_.join_token.empty() && (trust == TrustMode::none || trust == TrustMode::member)) {
    joins_.keep_asking(JoinToken::parse(options_.join_token).value());
    return {};
  }
  if (trust != TrustMode::none) return {};
  const bool is_named = !options_.join_file.empty();
  const auto token = read_join_file(is_named ? options_.join_file : default_join_file);
  if (token && *token) {
    joins_.keep_asking(**token);
  } else if (is_named && token) {
    return fail(Code::not_found,
                "[app] expected a file with a token at {} but there is none; flotilla token create on "
                "a member prints one",
                options_.join_file.string());
  } else if (is_named) {
    return fail(token.error());
  } else if (!token) {
    join_trouble_ = without_room(token.error().message);
    log(LogLevel::warning, "app", "this machine stays alone: {}", join_trouble_);
  }
  return {};
}

Status Node::leave_cluster(bool force) {
  const auto standing = context_.identity.standing;
  if (!standing->cluster()) return fail(Code::unavailable, "[app] this machine belongs to no cluster");
  if (standing->may_sign() && !force)
    return fail(Code::invalid_argument,
                "[app] expected another machine to hold the cluster's key but only this one has it: once it has left, "
                "nobody can be let in or put out, and the others' memberships end within 30 days; leave with --force");
  FLOTILLA_TRY_STATUS(standing->leave_cluster());
  for (const Member& member : view().members)
    if (member.state == MemberState::joined || member.state == MemberState::suspect)
      cluster_->put_out(member.info.id, std::format("{} left this cluster", context_.identity.name));
  publish();
  return {};
}

std::function<void()> Node::join(const json& arguments, std::function<void(json)> on_progress, OnJson on_done) {
  if (const auto code = text_in(arguments, "confirm"); !code.empty()) {
    const auto confirmed = joins_.confirm(code);
    on_done(confirmed ? Result<json>(json{{"confirmed", code}}) : fail(confirmed.error()));
    return {};
  }
  JoinDesk::Wish wish{.token = {}, .peer = {}, .confirmed = is_set(arguments, "yes")};
  if (const auto text = text_in(arguments, "token"); !text.empty()) {
    auto token = JoinToken::parse(text);
    if (!token) return on_done(fail(token.error())), std::function<void()>();
    wish.token = *token;
  }
  if (const auto text = text_in(arguments, "peer"); !text.empty()) {
    auto peer = parse_address(text, limits::cluster_port);
    if (!peer) return on_done(fail(peer.error())), std::function<void()>();
    wish.peer = *std::move(peer);
  }
  joins_.join(
      std::move(wish),
      [on_progress](const JoinDesk::Shown& shown) { on_progress({{"code", shown.code}, {"machine", shown.machine}}); },
      [on_done](const Result<std::string>& machine) {
        on_done(machine ? Result<json>(json{{"by", *machine}}) : fail(machine.error()));
      });
  return [this] { joins_.cancel(); };
}

std::function<void()> Node::trust(const std::string& wish, const json& arguments, std::function<void(json)> on_progress,
                                  OnJson on_done) {
  if (wish == "members") {
    json body = admits_.members();
    body["keeps_awake"] = wakes_.keeps_awake();
    return on_done(std::move(body)), std::function<void()>();
  }
  // Whoever reaches an API without keys could let itself in.
  if (!server_->is_local() && keys_.now().empty()) {
    on_done(
        fail(Code::permission,
             "[app] expected keys to an API that others reach at {} but it has none; to let machines in or put them "
             "out, make one (flotilla key create --scope admin) or start with --api 127.0.0.1:{}",
             options_.api_host, options_.api_port));
    return {};
  }
  const auto tell = [on_done](const char* field) {
    return [on_done, field](const Result<std::string>& text) {
      on_done(text ? Result<json>(json{{field, *text}}) : fail(text.error()));
    };
  };
  if (wish == "token") {
    admits_.create_token(number_in(arguments, "ttl_seconds", token_seconds_default),
                         number_in(arguments, "uses", token_uses_default), tell("token"));
  } else if (wish == "tokens") {
    admits_.list_tokens(std::move(on_done));
  } else if (wish == "tokens/revoke") {
    admits_.end_token(text_in(arguments, "id"), tell("id"));
  } else if (wish == "approve") {
    admits_.approve(text_in(arguments, "code"), tell("name"));
  } else if (wish == "revoke") {
    admits_.revoke(text_in(arguments, "name"), tell("name"));
  } else if (wish == "leave") {
    const auto left = leave_cluster(is_set(arguments, "force"));
    on_done(left ? Result<json>(json{{"left", true}}) : fail(left.error()));
  } else {
    return join(arguments, std::move(on_progress), std::move(on_done));
  }
  return {};
}

}  // namespace flotilla
