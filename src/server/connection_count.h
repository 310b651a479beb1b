// Decides who may have one connection more, so that one machine cannot take all there are, and all others together not
// those of this machine's own programs. Thread: the loop's. Pure.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <map>
#include <string>

namespace flotilla {

class ConnectionCount {
 public:
  struct Limits {
    std::size_t near_max = 0;         // from this machine
    std::size_t far_max = 0;          // from all others together
    std::size_t per_address_max = 0;  // from each of these
  };
  enum class Verdict { welcome, full, too_many_of_one };

  // Who is at the other end: a plain address, or a program of this machine.
  struct Caller {
    boost::asio::ip::address address;
    bool is_near = false;
  };
  // Counts it where it is welcome; then forget() is called once, for the same caller.
  Verdict add(const Caller& caller, const Limits& limits);
  void forget(const Caller& caller);

 private:
  std::size_t near_ = 0, far_ = 0;
  std::map<std::string, std::size_t> of_;  // by connection_owner(); only who has any
};

}  // namespace flotilla
