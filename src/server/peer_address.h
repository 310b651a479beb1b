// Addresses of connections, as they are compared and counted. Pure.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>

namespace flotilla {

// IPv4 that came in an IPv6 socket as IPv4; no zone.
boost::asio::ip::address plain_address(const boost::asio::ip::address& address);

// Whether a connection between these plain addresses is from a program of this machine: over loopback, or to an address
// that is its own at both ends.
bool is_from_this_machine(const boost::asio::ip::address& remote, const boost::asio::ip::address& local);

// Whom connections from this plain address are counted to: an IPv4 address; of IPv6 the first 64 bits, which are one
// household's, and a whole address where these are everybody's (link-local).
std::string connection_owner(const boost::asio::ip::address& address);

}  // namespace flotilla
