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

  // Counts it where it is welcome; then forget() is called once, with the same address.
  Verdict add(const boost::asio::ip::address& plain, const Limits& limits);
  void forget(const boost::asio::ip::address& plain);

 private:
  std::size_t near_ = 0, far_ = 0;
  std::map<std::string, std::size_t> of_;  // by connection_owner(); only who has any
};

}  // namespace flotilla
