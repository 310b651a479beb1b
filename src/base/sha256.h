// SHA-256 and HMAC-SHA-256 by OpenSSL (FIPS 180-4, RFC 2104).
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace flotilla {

using Digest = std::array<std::byte, 32>;

// Hash of bytes that arrive in pieces. One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void add(std::span<const std::byte> bytes);
  Digest finish();  // once; afterwards only destruction or assignment

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(std::span<const std::byte> bytes);
Digest hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> message);
bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b);

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace flotilla
