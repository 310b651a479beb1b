// Two real ends shake hands while somebody between them changes what passes. The input is a CBOR map:
//   "mode"    bits of the situation, below
//   "frames"  a list, one entry for each frame in the order they are sent: null lets it pass; else a list
//             [kind, version, change], where change is a map that is laid over the frame's, or octets in its place
#include <utility>

#include "fuzz.h"
#include "wire/fields.h"
#include "wire/handshake.h"

namespace flotilla::fuzz {
namespace {

constexpr std::size_t frames_max = 8;

struct Situation {
  TrustMode here{}, there{};
  ConnectionClass connection_class{};
  bool same_channel = false;  // no: somebody stands between, with a TLS connection to each
  bool same_secret = false, is_encrypted = false, is_believed = false;
  int known_keys = 0;  // 1: one end is told of another key than the other's; 2: both have one identity

  explicit Situation(unsigned mode)
      : here(static_cast<TrustMode>(mode & 3)),
        there(static_cast<TrustMode>(mode >> 2 & 3)),
        connection_class(static_cast<ConnectionClass>((mode >> 4 & 3) % 3)),
        same_channel((mode >> 6 & 1) != 0),
        same_secret((mode >> 7 & 1) != 0),
        is_encrypted((mode >> 8 & 1) != 0),
        is_believed((mode >> 9 & 1) != 0),
        known_keys(static_cast<int>(mode >> 10 & 3)) {}
};

HandshakeIdentity identity(std::uint8_t number, TrustMode trust, const char* secret) {
  HandshakeIdentity self{.name = "studio", .release = "0.1.0", .cluster_port = 52414, .trust = trust, .secret = secret};
  self.node.bytes.fill(number);
  return self;
}

ChannelBinding binding(std::uint8_t channel, std::uint8_t peer, bool is_believed) {
  ChannelBinding binding;
  binding.exporter.fill(std::byte{channel});
  binding.peer.bytes.fill(peer);
  binding.judge = [is_believed](const std::string& name) -> Status {
    claim(is_name(name), "a name that is judged is one");
    if (is_believed) return {};
    return fail(Code::unauthorized, "[trust] not believed");
  };
  return binding;
}

Frame changed(Frame frame, const Json& change) {
  if (!change.is_array() || change.size() != 3) return frame;
  if (change[0].is_number_unsigned()) frame.header.kind = static_cast<FrameKind>(change[0].get<std::uint16_t>());
  if (change[1].is_number_unsigned()) frame.header.version = change[1].get<std::uint16_t>();
  if (change[2].is_binary()) {
    const auto octets = std::as_bytes(std::span(change[2].get_binary()));
    frame.body.assign(octets.begin(), octets.end());
  } else if (change[2].is_object()) {
    auto body = map_from_cbor("frame", frame.body);
    if (body) frame.body = to_cbor((body->update(change[2]), *body));
  }
  return frame;
}

// Gives each frame to the other end until nobody has more to say.
void exchange(Handshake& initiator, Handshake& responder, const Json& frames) {
  Handshake* from = &initiator;
  Handshake* to = &responder;
  for (std::size_t i = 0; i < frames_max; ++i) {
    auto frame = from->take_outgoing();
    if (!frame) return;
    claim(frame->body.size() <= body_bytes_max(frame->header.kind), "what is sent can be read");
    const auto taken = to->on_frame(changed(std::move(*frame), i < frames.size() ? frames[i] : Json()));
    claim(taken.has_value() || !to->done(), "a handshake that failed is not done");
    claim(taken.has_value() || !to->on_frame(make_frame(FrameKind::ping, {})), "an error stays");
    std::swap(from, to);
  }
}

void check_end(const Handshake& end, const Situation& situation, TrustMode own, std::uint8_t peer) {
  if (end.peer()) claim(is_name(end.peer()->name) && is_name(end.peer()->release), "who was seen has a name");
  if (!end.done()) return;
  NodeId expected;
  expected.bytes.fill(peer);
  claim(end.peer() && end.peer()->node == expected, "who has joined has the key of its identity");
  claim(situation.is_encrypted, "nobody joins in the clear");
  claim(situation.same_channel, "no proof holds for another connection");
  claim(own != TrustMode::secret || situation.same_secret, "no secret is proved that is another");
  const bool joins = situation.connection_class == ConnectionClass::join || own == TrustMode::secret;
  claim(joins || end.peer()->connection_class == ConnectionClass::join || situation.is_believed, "a verdict counts");
}

void run(const Json& input) {
  const auto mode = input.find("mode");
  const auto frames = input.find("frames");
  const Situation situation(mode != input.end() && mode->is_number_unsigned() ? mode->get<unsigned>() : 0);
  const std::uint8_t there = situation.known_keys == 2 ? 1 : 2, known_there = situation.known_keys == 1 ? 3 : there;
  std::optional<ChannelBinding> near, far;
  if (situation.is_encrypted) {
    near = binding(7, known_there, situation.is_believed);
    far = binding(situation.same_channel ? 7 : 8, 1, situation.is_believed);
  }
  auto initiator = Handshake::initiate(identity(1, situation.here, "one secret"), situation.connection_class, near);
  const char* secret = situation.same_secret ? "one secret" : "another";
  auto responder = Handshake::respond(identity(there, situation.there, secret), far);
  exchange(initiator, responder, frames != input.end() && frames->is_array() ? *frames : Json::array());
  check_end(initiator, situation, situation.here, known_there);
  check_end(responder, situation, situation.there, 1);
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = flotilla::map_from_cbor("input", flotilla::fuzz::bytes_of_input(data, size));
  if (!input) return -1;
  flotilla::fuzz::run(*input);
  return 0;
}
