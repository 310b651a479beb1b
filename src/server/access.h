// What a key may do, and what a route asks of whoever calls it. Pure.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flotilla {

enum class Scope : std::uint8_t {
  infer,    // ask models
  batch,    // leave work for quiet hours
  models,   // load, unload, plan
  metrics,  // read what is counted, nothing else: for a monitoring program
  admin,    // everything
};
inline constexpr std::array all_scopes{Scope::infer, Scope::batch, Scope::models, Scope::metrics, Scope::admin};

std::string_view to_string(Scope scope);
std::optional<Scope> scope_from_string(std::string_view name);

class Scopes {
 public:
  constexpr Scopes() = default;
  template <std::same_as<Scope>... More>
  constexpr explicit Scopes(Scope first, More... more) : bits_(bit(first)) {
    ((bits_ |= bit(more)), ...);
  }

  constexpr void add(Scope scope) { bits_ |= bit(scope); }
  constexpr bool has(Scope scope) const { return (bits_ & bit(scope)) != 0; }
  constexpr bool meets(Scopes other) const { return (bits_ & other.bits_) != 0; }
  std::string joined(std::string_view between) const;  // "infer, models"
  bool operator==(const Scopes&) const = default;

 private:
  static constexpr unsigned bit(Scope scope) { return 1u << static_cast<unsigned>(scope); }
  unsigned bits_ = 0;
};

// There is no default: whoever adds a route says whom it is for.
class Access {
 public:
  static constexpr Access open() { return {Kind::open, {}}; }        // everybody, without a key
  static constexpr Access any_key() { return {Kind::any_key, {}}; }  // for answers that no route gives: 404, 405
  template <std::same_as<Scope>... More>
  static constexpr Access of(Scope first, More... more) {  // a key with one of them, or with admin
    return {Kind::scopes, Scopes(first, more...)};
  }

  constexpr bool is_open() const { return kind_ == Kind::open; }
  constexpr bool granted_to(Scopes scopes) const {
    return kind_ != Kind::scopes || scopes.has(Scope::admin) || scopes.meets(scopes_);
  }
  constexpr Scopes scopes() const { return scopes_; }

 private:
  enum class Kind { open, any_key, scopes };
  constexpr Access(Kind kind, Scopes scopes) : kind_(kind), scopes_(scopes) {}

  Kind kind_;
  Scopes scopes_;
};

}  // namespace flotilla
