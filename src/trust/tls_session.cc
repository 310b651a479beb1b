#include "trust/tls_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "trust/openssl_handles.h"

namespace flotilla {

// The two queues of bytes between OpenSSL and the wire. A BIO of our own, because OpenSSL's memory BIO moves what is
// left of it with every write and clears all of it with every reset.
struct TlsSession::State {
  Bytes in, out;
  std::size_t in_begin = 0, in_end = 0, out_begin = 0;
  SslHandle ssl;  // goes first: it may look at the queues

  static State& of(BIO* bio) {
    BIO_clear_retry_flags(bio);
    return *static_cast<State*>(BIO_get_data(bio));
  }

  static int write(BIO* bio, const char* data, int count) {
    auto& out = of(bio).out;
    const auto bytes = std::as_bytes(std::span(data, static_cast<std::size_t>(count)));
    out.insert(out.end(), bytes.begin(), bytes.end());
    return count;
  }

  static int read(BIO* bio, char* data, int count) {
    auto& state = of(bio);
    const auto taken = std::min(static_cast<std::size_t>(count), state.in_end - state.in_begin);
    if (taken == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    std::memcpy(data, state.in.data() + state.in_begin, taken);
    state.in_begin += taken;
    if (state.in_begin == state.in_end) state.in_begin = state.in_end = 0;
    return static_cast<int>(taken);
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* queues = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "flotilla queues");
      BIO_meth_set_write(queues, write);
      BIO_meth_set_read(queues, read);
      BIO_meth_set_ctrl(queues, control);
      return queues;
    }();
    return made;
  }
};

namespace {

constexpr std::string_view exporter_label = "EXPORTER-flotilla";

}  // namespace

TlsSession::TlsSession(const TlsContext& context, TlsRole role, std::uint64_t records_per_key)
    : state_(std::make_unique<State>()), records_per_key_(records_per_key) {
  state_->ssl.reset(SSL_new(context.handle()));
  BIO* bio = BIO_new(State::method());
  check(state_->ssl && bio, "OpenSSL makes a connection");
  BIO_set_data(bio, state_.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(state_->ssl.get(), bio, bio);  // which owns it from now on
  if (role == TlsRole::initiator)
    SSL_set_connect_state(state_->ssl.get());
  else
    SSL_set_accept_state(state_->ssl.get());
}

TlsSession::TlsSession(TlsSession&&) noexcept = default;
TlsSession& TlsSession::operator=(TlsSession&&) noexcept = default;
TlsSession::~TlsSession() = default;

std::span<std::byte> TlsSession::room(std::size_t bytes) {
  auto& in = state_->in;
  if (state_->in_begin > 0) {
    std::memmove(in.data(), in.data() + state_->in_begin, state_->in_end - state_->in_begin);
    state_->in_end -= std::exchange(state_->in_begin, 0);
  }
  if (in.size() - state_->in_end < bytes) in.resize(state_->in_end + bytes);
  return std::span(in).subspan(state_->in_end);
}

void TlsSession::arrived(std::size_t bytes) {
  state_->in_end += bytes;
  check(state_->in_end <= state_->in.size(), "no more arrives than there was room for");
}

std::span<const std::byte> TlsSession::outgoing() const { return std::span(state_->out).subspan(state_->out_begin); }

void TlsSession::sent(std::size_t bytes) {
  state_->out_begin += bytes;
  if (state_->out_begin < state_->out.size()) return;
  state_->out.clear();
  state_->out_begin = 0;
}

Bytes TlsSession::take_outgoing() {
  Bytes taken = std::exchange(state_->out, {});
  taken.erase(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(std::exchange(state_->out_begin, 0)));
  return taken;
}

Status TlsSession::failure(int result) {
  const int kind = SSL_get_error(state_->ssl.get(), result);
  if (kind == SSL_ERROR_WANT_READ) return {};
  if (kind == SSL_ERROR_ZERO_RETURN) return fail(Code::closed, "[trust] the other end closed the connection");
  if (!established_ && SSL_get_verify_result(state_->ssl.get()) != X509_V_OK) {
    (void)openssl_words();
    return fail(Code::unauthorized,
                "[trust] expected a machine with a flotilla certificate but got another; is that flotilla?");
  }
  const unsigned long cause = ERR_peek_last_error();
  const int reason = ERR_GET_REASON(cause);
  const bool not_shared = reason == SSL_R_BINDER_DOES_NOT_VERIFY || reason == SSL_R_NO_SHARED_CIPHER ||
                          reason == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM ||
                          reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
  return fail(established_ || !not_shared ? Code::corrupt : Code::unauthorized,
              "[trust] expected an encrypted connection (TLS 1.3) but got something else: {}", openssl_words());
}

Status TlsSession::advance() {
  if (established_) return {};
  ERR_clear_error();
  const int result = SSL_do_handshake(state_->ssl.get());
  if (result != 1) return failure(result);
  established_ = true;
  return {};
}

Status TlsSession::write(std::span<const std::byte> bytes) {
  check(established_, "nothing is said before the handshake is done");
  if (bytes.empty()) return {};
  ERR_clear_error();
  renew_key_in_time(bytes.size());
  std::size_t written = 0;
  const int result = SSL_write_ex(state_->ssl.get(), bytes.data(), bytes.size(), &written);
  if (result == 1) return {};
  FLOTILLA_TRY_STATUS(failure(result));
  return fail(Code::internal, "[trust] expected to encrypt {} bytes but could not", bytes.size());
}

// OpenSSL does it with the next write. The other end's key is its own to renew.
void TlsSession::renew_key_in_time(std::size_t bytes) {
  records_ += 1 + bytes / SSL3_RT_MAX_PLAIN_LENGTH;
  if (records_ < records_per_key_) return;
  check(SSL_key_update(state_->ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1, "OpenSSL renews a key");
  records_ = 0;
}

Result<std::size_t> TlsSession::read(std::span<std::byte> into) {
  std::size_t count = 0;
  ERR_clear_error();
  const int result = SSL_read_ex(state_->ssl.get(), into.data(), into.size(), &count);
  if (result == 1) return count;
  FLOTILLA_TRY_STATUS(failure(result));
  return std::size_t{0};
}

Result<bool> TlsSession::has_something() {
  if (SSL_pending(state_->ssl.get()) > 0) return true;
  if (state_->in_begin == state_->in_end) return false;
  std::byte byte;
  std::size_t count = 0;
  ERR_clear_error();
  const int result = SSL_peek_ex(state_->ssl.get(), &byte, 1, &count);
  if (result == 1) return true;
  FLOTILLA_TRY_STATUS(failure(result));
  return false;
}

Digest TlsSession::exporter() const {
  check(established_, "a connection has its exporter once it is established");
  Digest digest;
  check(SSL_export_keying_material(state_->ssl.get(), reinterpret_cast<unsigned char*>(digest.data()), digest.size(),
                                   exporter_label.data(), exporter_label.size(), nullptr, 0, 0) == 1,
        "OpenSSL exports keying material");
  return digest;
}

std::optional<Certificate> TlsSession::peer() const {
  X509* shown = SSL_get0_peer_certificate(state_->ssl.get());
  if (shown == nullptr) return {};
  auto certificate = Certificate::adopt(shown);
  return certificate ? std::optional(*std::move(certificate)) : std::nullopt;
}

std::optional<Certificate> TlsSession::peer_issuer() const {
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(state_->ssl.get());  // the responder's leaves out the initiator's own
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
    auto certificate = Certificate::adopt(sk_X509_value(chain, i));
    if (certificate && certificate->is_authority()) return *std::move(certificate);
  }
  return {};
}

}  // namespace flotilla
